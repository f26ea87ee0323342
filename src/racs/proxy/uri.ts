/** Escapes of S3 addresses. Source: AWS General Reference, SigV4 "UriEncode()"; RFC 3986 §2.3. */

import { S3Error } from './s3-error.ts';

/** Everything but unreserved characters; `/` stays in paths. */
export function uriEncode(text: string, options: { keepSlash?: boolean } = {}): string {
  const encoded = encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return options.keepSlash ? encoded.replaceAll('%2F', '/') : encoded;
}

/** @throws {S3Error} InvalidURI */
export function uriDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI', "Couldn't parse the specified URI.");
  }
}

/** Names and values in their order, decoded. */
export function parseQuery(query: string): [string, string][] {
  return query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      const [name, value] = at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
      return [uriDecode(name.replaceAll('+', ' ')), uriDecode(value.replaceAll('+', ' '))];
    });
}

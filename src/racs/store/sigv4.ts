/**
 * AWS Signature Version 4, header form. Source: AWS General Reference, "Create a signed AWS API request", steps 1-5.
 * The payload is signed by its SHA-256, or named UNSIGNED-PAYLOAD, which only TLS protects.
 */

import { createHash, createHmac } from 'node:crypto';

export interface S3Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

export interface SignedRequest {
  method: string;
  host: string;
  /** Escaped once, as it will be sent. */
  path: string;
  /** Names and values, not escaped. */
  query: Record<string, string>;
  headers: Record<string, string>;
  payloadHash: string;
  region: string;
  /** Milliseconds since 1970. */
  time: number;
}

export const sha256Hex = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex');

const hmac = (key: Uint8Array | string, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/** The query string in canonical order: escaped and sorted. */
export function canonicalQuery(query: Record<string, string>, escapeText: (text: string) => string): string {
  return Object.entries(query)
    .map(([name, value]) => [escapeText(name), escapeText(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** All headers to send: those given, and host, date, payload hash and signature. */
export function signV4(request: SignedRequest, credentials: S3Credentials, escapeText: (text: string) => string): Record<string, string> {
  const amzDate = new Date(request.time).toISOString().replace(/[-:]|\.\d+/g, '');
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    'x-amz-content-sha256': request.payloadHash,
    'x-amz-date': amzDate,
    ...(credentials.sessionToken && { 'x-amz-security-token': credentials.sessionToken }),
  };
  const names = Object.keys(headers)
    .map((name) => name.toLowerCase())
    .sort();
  const values = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')]));
  const canonical = [
    ...[request.method, request.path, canonicalQuery(request.query, escapeText)],
    ...names.map((name) => `${name}:${values.get(name)}`),
    ...['', names.join(';'), request.payloadHash],
  ].join('\n');
  const scope = `${amzDate.slice(0, 8)}/${request.region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', amzDate, scope, sha256Hex(canonical)].join('\n');
  const key = scope.split('/').reduce<Uint8Array | string>((secret, part) => hmac(secret, part), `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return headers;
}

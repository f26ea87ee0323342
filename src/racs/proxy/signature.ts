/**
 * Checks AWS Signature Version 4 of a request, in the header form and the presigned form. Unsigned requests, requests
 * older or newer than 15 minutes, and requests with `x-amz-*` headers outside the signature are refused.
 * Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header" and "... Using Query
 * Parameters"; "Signature Calculations ... Multiple Chunks" for what the seed signature is used for.
 */

import { hexOfBytes } from '../../base/integer.ts';
import { digestOf, type Hashing, type HttpRequest, utf8 } from './message.ts';
import { S3Error } from './s3-error.ts';
import { parseQuery, uriDecode, uriEncode } from './uri.ts';

/** Looks a secret up; undefined for an unknown key. */
export type SecretOf = (accessKeyId: string) => string | undefined;

export interface SignedBy {
  accessKeyId: string;
  /** The value of x-amz-content-sha256, or UNSIGNED-PAYLOAD for a presigned request. */
  payload: string;
  /** For the signatures of chunks. */
  chain: SignatureChain;
}

export interface SignatureChain {
  signingKey: Uint8Array;
  scope: string;
  date: string;
  seed: string;
}

interface Claim {
  accessKeyId: string;
  scope: string;
  date: string;
  signedHeaders: string[];
  signature: string;
  payload: string;
  /** Name and value pairs that are signed. */
  query: [string, string][];
}

const algorithm = 'AWS4-HMAC-SHA256';
const allowedSkewMs = 15 * 60 * 1000;
const longestExpiry = 7 * 24 * 3600;

/** @throws {S3Error} */
export function checkSignature(request: HttpRequest, secretOf: SecretOf, hashing: Hashing, now: number): SignedBy {
  const query = parseQuery(request.query);
  const header = request.headers.get('authorization');
  const presigned = query.some(([name]) => name === 'X-Amz-Algorithm');
  if (header !== undefined && presigned) throw new S3Error('InvalidArgument', 'Only one auth mechanism allowed');
  if (header === undefined && !presigned) throw new S3Error('AccessDenied', 'Access Denied');
  const claim = presigned ? presignedClaim(query, now) : headerClaim(request, header ?? '', query, now);
  checkScope(claim);
  checkSignedHeaders(request, claim.signedHeaders, presigned);
  const secret = secretOf(claim.accessKeyId);
  if (secret === undefined) throw new S3Error('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.');
  const signingKey = claim.scope.split('/').reduce((key, part) => hashing.hmacSha256(key, utf8(part)), utf8(`AWS4${secret}`));
  const canonical = canonicalRequest(request, claim);
  const toSign = [algorithm, claim.date, claim.scope, hexOfBytes(digestOf(hashing, 'sha256', utf8(canonical)))].join('\n');
  const expected = hexOfBytes(hashing.hmacSha256(signingKey, utf8(toSign)));
  if (!equalInConstantTime(expected, claim.signature)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
  return {
    accessKeyId: claim.accessKeyId,
    payload: claim.payload,
    chain: { signingKey, scope: claim.scope, date: claim.date, seed: expected },
  };
}

/** Takes as long for a wrong text of the right length as for the right one. */
export function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

function headerClaim(request: HttpRequest, header: string, query: [string, string][], now: number): Claim {
  if (!header.startsWith(`${algorithm} `)) throw new S3Error('InvalidRequest', 'Please use AWS4-HMAC-SHA256.');
  const fields = new Map(
    header
      .slice(algorithm.length + 1)
      .split(',')
      .map((field) => {
        const at = field.indexOf('=');
        return [field.slice(0, at).trim(), field.slice(at + 1).trim()] as const;
      }),
  );
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) => fields.get(name));
  if (!credential || !signedHeaders || !signature)
    throw new S3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed.');
  const payload = request.headers.get('x-amz-content-sha256');
  if (payload === undefined) throw new S3Error('MissingSecurityHeader', 'Your request was missing a required header: x-amz-content-sha256');
  const date = amzDate(request.headers.get('x-amz-date') ?? request.headers.get('date'));
  if (date === null) throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  if (Math.abs(now - date.time) > allowedSkewMs) {
    throw new S3Error('RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.');
  }
  return { ...splitCredential(credential), date: date.text, signedHeaders: signedHeaders.split(';'), signature, payload, query };
}

function presignedClaim(query: [string, string][], now: number): Claim {
  const value = (name: string): string => {
    const found = query.filter(([each]) => each === name);
    if (found.length !== 1) throw new S3Error('InvalidArgument', `${name} is needed once in a presigned address`);
    return found[0]![1];
  };
  if (value('X-Amz-Algorithm') !== algorithm) throw new S3Error('InvalidArgument', `X-Amz-Algorithm only supports ${algorithm}`);
  const date = amzDate(value('X-Amz-Date'));
  const expires = Number(value('X-Amz-Expires'));
  if (date === null) throw new S3Error('InvalidArgument', 'X-Amz-Date must be in the ISO8601 Long Format');
  if (!Number.isInteger(expires) || expires < 1 || expires > longestExpiry)
    throw new S3Error('InvalidArgument', 'X-Amz-Expires must be 1 to 604800 seconds');
  if (date.time > now + allowedSkewMs) throw new S3Error('AccessDenied', 'Request is not yet valid');
  if (now > date.time + expires * 1000) throw new S3Error('AccessDenied', 'Request has expired');
  return {
    ...splitCredential(value('X-Amz-Credential')),
    date: date.text,
    signedHeaders: value('X-Amz-SignedHeaders').split(';'),
    signature: value('X-Amz-Signature'),
    payload: 'UNSIGNED-PAYLOAD',
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
  };
}

function splitCredential(credential: string): { accessKeyId: string; scope: string } {
  const parts = credential.split('/');
  if (parts.length < 5)
    throw new S3Error('AuthorizationHeaderMalformed', 'The credential is malformed; expecting "<KEY>/YYYYMMDD/REGION/s3/aws4_request".');
  return { accessKeyId: parts.slice(0, -4).join('/'), scope: parts.slice(-4).join('/') };
}

function checkScope({ scope, date }: Claim): void {
  const [day, , service, end] = scope.split('/');
  if (day !== date.slice(0, 8) || service !== 's3' || end !== 'aws4_request') {
    throw new S3Error('AuthorizationHeaderMalformed', 'The credential scope is not of this day and service.');
  }
}

function checkSignedHeaders(request: HttpRequest, signed: readonly string[], presigned: boolean): void {
  if (!signed.includes('host')) throw new S3Error('AccessDenied', 'The host header must be signed');
  for (const name of request.headers.keys()) {
    const matters = name.startsWith('x-amz-') && !(presigned && name === 'x-amz-content-sha256');
    if (matters && !signed.includes(name))
      throw new S3Error('AccessDenied', `There were headers present in the request which were not signed: ${name}`);
  }
}

function canonicalRequest({ method, path, headers }: HttpRequest, { signedHeaders, query, payload }: Claim): string {
  const pairs = query.map(([name, value]) => [uriEncode(name), uriEncode(value)] as const);
  pairs.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1));
  return [
    method,
    uriEncode(uriDecode(path), { keepSlash: true }),
    pairs.map(([name, value]) => `${name}=${value}`).join('&'),
    ...signedHeaders.map((name) => `${name}:${(headers.get(name) ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    payload,
  ].join('\n');
}

/** YYYYMMDDTHHMMSSZ, or a date of HTTP, which is signed in that form. */
function amzDate(text: string | undefined): { text: string; time: number } | null {
  if (text === undefined) return null;
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const time = match ? Date.UTC(+match[1]!, +match[2]! - 1, +match[3]!, +match[4]!, +match[5]!, +match[6]!) : Date.parse(text);
  if (!Number.isFinite(time)) return null;
  return { time, text: match ? text : new Date(time).toISOString().replace(/[-:]|\.\d+/g, '') };
}

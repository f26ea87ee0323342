/** Errors as S3 gives them. Source: Amazon S3 API Reference, "Error responses". */

import { isStoreError, type StoreErrorCode } from '../object-store.ts';

const statuses = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  BadDigest: 400,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  ConditionalRequestConflict: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IncompleteBody: 400,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedXML: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  MissingSecurityHeader: 400,
  NoSuchBucket: 404,
  NoSuchBucketPolicy: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NotImplemented: 501,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  XAmzContentSHA256Mismatch: 400,
} as const;

export type S3ErrorCode = keyof typeof statuses;

export class S3Error extends Error {
  override readonly name = 'S3Error';
  readonly code: S3ErrorCode;

  constructor(code: S3ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get status(): number {
    return statuses[this.code];
  }
}

const fromStore: Record<StoreErrorCode, readonly [S3ErrorCode, string]> = {
  NOT_FOUND: ['NoSuchKey', 'The specified key does not exist.'],
  PRECONDITION_FAILED: ['PreconditionFailed', 'At least one of the pre-conditions you specified did not hold'],
  INVALID_RANGE: ['InvalidRange', 'The requested range is not satisfiable'],
  INVALID_KEY: ['KeyTooLongError', 'Your key is too long, or no well-formed text'],
  TOO_LARGE: ['EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size'],
  BAD_REQUEST: ['InvalidRequest', 'The request is not valid'],
  ACCESS_DENIED: ['InternalError', 'A provider refuses our credentials'],
  NO_SUCH_BUCKET: ['InternalError', 'A provider has lost its bucket'],
  NO_SUCH_UPLOAD: ['NoSuchUpload', 'The specified multipart upload does not exist.'],
  UNSUPPORTED: ['NotImplemented', 'The array cannot do this'],
  THROTTLED: ['SlowDown', 'Please reduce your request rate.'],
  UNAVAILABLE: ['ServiceUnavailable', 'Too few providers answer. Please try again.'],
  TIMEOUT: ['ServiceUnavailable', 'Too few providers answer in time. Please try again.'],
  CORRUPT: ['InternalError', 'What is stored is damaged'],
  TOO_FEW_SHARES: ['ServiceUnavailable', 'Too few shares could be had or stored. Please try again.'],
  ABORTED: ['InternalError', 'The request was given up'],
};

/** Any failure as one that may be shown: what is inside providers' messages stays here. */
export function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (isStoreError(error)) {
    const [code, message] = fromStore[error.code];
    return new S3Error(code, message, { cause: error });
  }
  return new S3Error('InternalError', 'We encountered an internal error. Please try again.', { cause: error });
}

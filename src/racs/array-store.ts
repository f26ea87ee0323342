/**
 * What the array offers beyond an object store: copy, uploads in parts, and named registers for whoever keeps state
 * beside the objects (a disk's owner and epoch). The proxy and the disk take this interface; array.ts implements it.
 * Multipart follows S3's: parts 1..10000 in any order, the last upload of a number counts, complete names the parts.
 */

import type { CallOptions, ObjectBody, ObjectInfo, ObjectStore, PutOptions } from './object-store.ts';
import type { CommitRegister } from './register/commit-register.ts';

export interface UploadPart {
  /** 1..10000 */
  partNumber: number;
  etag: string;
}

export interface UploadPartInfo extends UploadPart {
  size: number;
  lastModified: number;
}

export interface UploadInfo {
  key: string;
  uploadId: string;
  /** Milliseconds since 1970. */
  initiated: number;
}

export interface ArrayStore extends ObjectStore {
  /** By reading and writing, so that no share belongs to two objects. Keeps content type and metadata unless given. */
  copy(from: string, to: string, options?: PutOptions & { sourceIfMatch?: string }): Promise<ObjectInfo>;
  createUpload(key: string, options?: Pick<PutOptions, 'contentType' | 'metadata' | 'signal'>): Promise<UploadInfo>;
  /** `options.etag` as in put: the etag to give the part. */
  uploadPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: ObjectBody,
    options?: Pick<PutOptions, 'etag' | 'signal'>,
  ): Promise<UploadPartInfo>;
  /** In order of part number, after `startAfter`, at most `limit` (1000). */
  listParts(
    key: string,
    uploadId: string,
    options?: CallOptions & { startAfter?: number; limit?: number },
  ): Promise<{ parts: UploadPartInfo[]; truncated: boolean }>;
  /** Open uploads in order of key and upload id. */
  listUploads(options?: CallOptions & { prefix?: string }): Promise<UploadInfo[]>;
  /**
   * Makes the object of these parts, in this order. Doing it again for an upload that is complete gives the same answer.
   * @throws {StoreError} NO_SUCH_UPLOAD; BAD_REQUEST for parts out of order, missing or with another etag
   */
  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadPart[],
    options?: Pick<PutOptions, 'etag' | 'ifMatch' | 'ifNoneMatch' | 'signal'>,
  ): Promise<ObjectInfo>;
  abortUpload(key: string, uploadId: string, options?: CallOptions): Promise<void>;
  /** Registers of this array under a name space of the caller's own: `registers('disk')`. */
  registers(space: string): CommitRegister;
}

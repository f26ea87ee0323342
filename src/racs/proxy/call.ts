/** What an operation knows of its request. */

import type { HttpRequest } from './message.ts';
import type { SignedBy } from './signature.ts';

export interface Call {
  request: HttpRequest;
  signed: SignedBy;
  query: ReadonlyMap<string, string>;
  bucket: string;
  key: string;
}

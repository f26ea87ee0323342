/** The XML that clients send: keys to delete, parts of an upload. */

import type { UploadPart } from '../array-store.ts';
import { child, childText, parseXml, type XmlElement } from '../store/xml.ts';
import { unquote } from './conditions.ts';
import { S3Error } from './s3-error.ts';

export function deleteList(text: string): { keys: string[]; quiet: boolean } {
  const root = parse(text, 'Delete');
  const keys = root.children.filter(({ name }) => name === 'Object').map((object) => childText(object, 'Key') ?? '');
  if (keys.length === 0 || keys.length > 1000 || keys.includes('')) throw malformed();
  return { keys, quiet: childText(root, 'Quiet')?.trim() === 'true' };
}

export function partList(text: string): UploadPart[] {
  const parts = parse(text, 'CompleteMultipartUpload')
    .children.filter(({ name }) => name === 'Part')
    .map((part) => ({ partNumber: Number(child(part, 'PartNumber')?.text), etag: unquote(childText(part, 'ETag') ?? '') }));
  if (parts.length === 0 || parts.length > 10_000 || parts.some(({ partNumber, etag }) => !Number.isInteger(partNumber) || etag === ''))
    throw malformed();
  return parts;
}

function parse(text: string, name: string): XmlElement {
  let root: XmlElement;
  try {
    root = parseXml(text);
  } catch {
    throw malformed();
  }
  if (root.name !== name) throw malformed();
  return root;
}

function malformed(): S3Error {
  return new S3Error('MalformedXML', 'The XML you provided was not well-formed or did not validate against our published schema');
}

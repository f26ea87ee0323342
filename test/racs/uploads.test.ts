import { describe, expect, it } from 'vitest';
import { memoryArray } from '../support/racs.ts';

const text = (value: string) => new TextEncoder().encode(value);
const plain = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('an upload in parts', () => {
  it('makes one object of the parts named, in order, with ranges across them', async () => {
    const { array } = memoryArray({ segmentBytes: 7 });
    const { uploadId } = await array.createUpload('key', { contentType: 'text/x', metadata: { a: 'b' } });
    const two = await array.uploadPart('key', uploadId, 2, text('second part '));
    await array.uploadPart('key', uploadId, 1, text('wrong'));
    const one = await array.uploadPart('key', uploadId, 1, text('first part '), { etag: () => 'e1' });
    const nine = await array.uploadPart('key', uploadId, 9, text('last'));
    expect((await array.listParts('key', uploadId)).parts.map(({ partNumber, etag, size }) => [partNumber, etag, size])).toEqual([
      [1, 'e1', 11],
      [2, two.etag, 12],
      [9, nine.etag, 4],
    ]);
    expect(await array.listUploads()).toMatchObject([{ key: 'key', uploadId }]);
    const info = await array.completeUpload('key', uploadId, [one, two, nine], { etag: () => 'whole-3' });
    expect(info).toMatchObject({ size: 27, etag: 'whole-3', contentType: 'text/x' });
    expect(plain((await array.get('key')).body)).toBe('first part second part last');
    expect(plain((await array.get('key', { range: { first: 9, end: 25 } })).body)).toBe('t second part la');
    expect(await array.completeUpload('key', uploadId, [one, two, nine])).toMatchObject({ etag: 'whole-3', size: 27 });
    expect(await array.listUploads()).toEqual([]);
    await expect(array.uploadPart('key', uploadId, 3, text('x'))).rejects.toMatchObject({ code: 'NO_SUCH_UPLOAD' });
  });

  it('refuses parts that are out of order, missing or others, and stays open', async () => {
    const { array } = memoryArray();
    const { uploadId } = await array.createUpload('key');
    const one = await array.uploadPart('key', uploadId, 1, text('1'));
    const two = await array.uploadPart('key', uploadId, 2, text('2'));
    for (const parts of [[two, one], [one, { partNumber: 3, etag: 'x' }], [{ ...one, etag: 'x' }], []]) {
      await expect(array.completeUpload('key', uploadId, parts)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    }
    await expect(array.uploadPart('key', uploadId, 0, text('x'))).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(array.uploadPart('key', 'nonsense', 1, text('x'))).rejects.toMatchObject({ code: 'NO_SUCH_UPLOAD' });
    await array.completeUpload('key', uploadId, [one, two]);
    expect(plain((await array.get('key')).body)).toBe('12');
  });

  it('leaves nothing when it is aborted', async () => {
    const { array, stores } = memoryArray();
    const { uploadId } = await array.createUpload('key');
    await array.uploadPart('key', uploadId, 1, text('1'));
    await array.abortUpload('key', uploadId);
    expect(stores.map(({ size }) => size)).toEqual([0, 0, 0]);
    await expect(array.completeUpload('key', uploadId, [])).rejects.toMatchObject({ code: 'NO_SUCH_UPLOAD' });
  });

  it('copies an object with its metadata', async () => {
    const { array } = memoryArray({ segmentBytes: 10 });
    await array.put('from', text('some longer content'), { metadata: { x: 'y' }, contentType: 'a/b' });
    await array.copy('from', 'to');
    await array.delete('from');
    const { info, body } = await array.get('to');
    expect([plain(body), info.contentType, info.metadata]).toEqual(['some longer content', 'a/b', { x: 'y' }]);
    await expect(array.copy('to', 'other', { sourceIfMatch: 'x' })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
  });
});

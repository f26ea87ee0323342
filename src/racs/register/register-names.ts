/**
 * Names of registers as keys of object stores that keep their order and that every server takes as they are: ASCII, no
 * empty path segments, no dots alone, no control characters, no backslash (stores were seen to order by UTF-16, and to
 * take a backslash for a slash). `/` becomes `/-`; of the UTF-8 bytes, those up to `!` become `!XX`, `[` and `\` become
 * `[XX`, and those from `~` on `~XX`, in hexadecimal. Each byte becomes a word that begins with itself, or with the
 * byte at the end of a run of such words, so order and prefixes are kept.
 */

export function keyOfName(name: string): string {
  let key = '';
  for (const byte of new TextEncoder().encode(name)) {
    const lead = byte <= 0x21 ? '!' : byte === 0x5b || byte === 0x5c ? '[' : byte >= 0x7e ? '~' : '';
    if (byte === 0x2f) key += '/-';
    else key += lead ? lead + byte.toString(16).padStart(2, '0') : String.fromCharCode(byte);
  }
  return key;
}

export function nameOfKey(key: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < key.length; at++) {
    const char = key[at]!;
    if (char === '!' || char === '[' || char === '~') {
      bytes.push(Number.parseInt(key.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(char.charCodeAt(0));
      if (char === '/') at++;
    }
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

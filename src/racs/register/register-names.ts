/**
 * Names of registers as keys of object stores that keep their order and that every server takes as they are: no empty
 * path segments, no dots alone, no control characters. `/` becomes `/-`; the bytes up to `!`, and `[ \ ~ DEL`, become
 * `!`, `[` or `~` with two hexadecimal digits. Each byte goes to a word of its own that begins with the byte itself or
 * one that no other byte's neighbours begin with, so order and prefixes are kept.
 */

const lead = (code: number): string =>
  code <= 0x21 ? '!' : code === 0x5b || code === 0x5c ? '[' : code === 0x7e || code === 0x7f ? '~' : '';

export function keyOfName(name: string): string {
  return name.replace(/[\0-!/[\\~\x7f]/g, (char) => {
    const code = char.charCodeAt(0);
    return char === '/' ? '/-' : lead(code) + code.toString(16).padStart(2, '0');
  });
}

export function nameOfKey(key: string): string {
  return key.replace(/\/-|[![~]([0-9a-f]{2})/g, (match, digits: string) =>
    match === '/-' ? '/' : String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

/**
 * Keys as relative paths that cannot leave a folder: bytes other than letters, digits, `-` and `_` are written as %XX,
 * and a name is cut every 200 characters into folders that begin with `+` and a file that begins with `=`. `/` stays
 * within a name (as %2F), so that no key is a folder of another.
 */

const pieceChars = 200;

export function pathPieces(key: string): string[] {
  const escaped = [...new TextEncoder().encode(key)]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
  const pieces: string[] = [];
  for (let at = 0; at < escaped.length; at += pieceChars) pieces.push(escaped.slice(at, at + pieceChars));
  return pieces.map((piece, i) => (i < pieces.length - 1 ? `+${piece}` : `=${piece}`));
}

/** The key of an escaped name without the signs before pieces, or null when it is no key's: a temporary file. */
export function keyOfEscaped(escaped: string): string | null {
  if (!/^(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+$/.test(escaped)) return null;
  try {
    return decodeURIComponent(escaped);
  } catch {
    return null;
  }
}

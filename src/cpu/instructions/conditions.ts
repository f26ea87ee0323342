/** Suffixes of the conditional instructions and their condition codes (SDM 2A appendix B.1.4.7). */
export const CONDITIONS: readonly (readonly [string, number])[] = [
  'O',
  'NO',
  'B',
  'AE',
  'E',
  'NE',
  'BE',
  'A',
  'S',
  'NS',
  'P',
  'NP',
  'L',
  'GE',
  'LE',
  'G',
].map((suffix, code) => [suffix, code] as const);

/**
 * Bits of the state's `interruptShadow`: set by the last instruction, or covering the one that is executed now; and by
 * what: a load of SS holds off debug exceptions too, STI does not.
 * Sources: SDM 3A §6.8.3, SDM 2B STI; SDM 3C Table 25-3 (interruptibility state).
 */
export const Shadow = { FRESH: 1, COVERS: 2, BY_SS: 4 } as const;

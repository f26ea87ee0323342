/* What both programs share: names of results, the multiboot header, and the power-off port.
 * A result of a test that may fault is one number: NONE, or the vector and, where there is one, the error code. */
NONE = 0x7fffffff
#define FAULT(v) ((v)<<16)
#define FAULTC(v,c) (0x1000000|((v)<<16)|(c))
/* Set in a result when the saved instruction pointer is not that of the instruction under test. */
ELSEWHERE = 0x2000000
/* Set when a register is not what it was before the instruction that faulted. */
CHANGED = 0x4000000
DE_ = 0
DB = 1
BP = 3
OF = 4
BR = 5
UD = 6
NM = 7
DF = 8
TS = 10
NP = 11
SS = 12
GP = 13
PF = 14
AC = 17
/* Vectors that push an error code: 8, 10 to 14, 17. */
WITH_CODE = 0x27d00
/* The gate by which user code comes back. */
DONE = 0x30
COM1 = 0x3f8
PM1A = 0x604
SLEEP = 0x2000
VECTORS = 0x50

.section .multiboot,"ax"
.balign 4
multiboot_header:
  .long 0x1badb002, 3, -(0x1badb002+3)

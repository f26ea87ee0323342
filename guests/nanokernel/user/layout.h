/* Addresses of the benchmark process: binary, heap, prelinked libraries, mmap area, stack; 2 MiB regions as in CentOS 5. */
#define BIN_TEXT 0x400000
#define BIN_DATA 0x600000
#define BIN_BSS 0x602000
#define HEAP 0x820000
#define LD_TEXT 0x3000000000
#define LD_DATA 0x300021a000
#define LIBC_TEXT 0x3000400000
#define LIBC_DATA 0x300074c000
#define LIBC_BSS 0x3000750000
#define LIBM_TEXT 0x3000800000
#define LIBM_DATA 0x3000a81000
#define TLS 0x2aaaaaaab000
#define LOCALE 0x2aaaaaaad000
#define CTYPE 0x2aaaaaab1000
#define GCONV 0x2aaaaaab3000
#define MISC 0x2aaaaaab5000
#define ANON2 0x2aaaaaab6000
#define ANON3 0x2aaaaaab8000
#define ANON4 0x2aaaaaab9000
#define ANON5 0x2aaaaaaba000
#define PF_MAP 0x2aaaaaac0000
#define STACK_TOP 0x7fffff7ff000
#define STACK_2 0x7fffff7fd000            /* the second and third page from the top */
#define STACK_3 0x7fffff7fc000
#define VDSO 0x7fffff7ff000

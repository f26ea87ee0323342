/* Formatting and the line-buffered console; the world underneath writes the bytes. */
#include "kernel.h"

static char buf[1024];
static u32 len;

void *memset(void *d, int c, u64 n) { void *r = d; __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory"); return r; }
void *memcpy(void *d, const void *s, u64 n) { void *r = d; __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); return r; }
u64 muldiv(u64 a, u64 b, u64 c) { u64 lo, hi; __asm__("mulq %3" : "=a"(lo), "=d"(hi) : "a"(a), "rm"(b)); __asm__("divq %4" : "=a"(lo), "=d"(hi) : "a"(lo), "d"(hi), "rm"(c)); return lo; }

void kflush(void) { if (len) pv.write(buf, len); len = 0; }
static void put(char c) { if (c == '\n') put('\r'); buf[len++] = c; if (c == '\n' || len == sizeof buf) kflush(); }
void kputs(const char *s) { while (*s) put(*s++); }
static void num(u64 v, u32 base, u32 width)
{
    char t[24];
    u32 n = 0;
    do { u32 d = v % base; t[n++] = d < 10 ? '0' + d : 'a' + d - 10; v /= base; } while (v || n < width);
    while (n) put(t[--n]);
}
/* %s string, %u unsigned long, %x hex with 0x, %m thousandths as a decimal fraction */
void kprintf(const char *f, ...)
{
    __builtin_va_list ap;
    __builtin_va_start(ap, f);
    for (; *f; f++) {
        if (*f != '%') { put(*f); continue; }
        switch (*++f) {
        case 's': kputs(__builtin_va_arg(ap, const char *)); break;
        case 'u': num(__builtin_va_arg(ap, u64), 10, 1); break;
        case 'x': kputs("0x"); num(__builtin_va_arg(ap, u64), 16, 1); break;
        case 'm': { u64 v = __builtin_va_arg(ap, u64); num(v / 1000, 10, 1); put('.'); num(v % 1000, 10, 3); break; }
        default: put(*f);
        }
    }
    __builtin_va_end(ap);
}
void panic(const char *f, ...)
{
    /* the arguments are few and unsigned long; printed with the same letters as kprintf */
    __builtin_va_list ap;
    __builtin_va_start(ap, f);
    u64 a = __builtin_va_arg(ap, u64), b = __builtin_va_arg(ap, u64), c = __builtin_va_arg(ap, u64), d = __builtin_va_arg(ap, u64), e = __builtin_va_arg(ap, u64), g = __builtin_va_arg(ap, u64);
    __builtin_va_end(ap);
    kputs("\nPANIC ");
    kprintf(f, a, b, c, d, e, g);
    kputs("\n");
    kflush();
    pv.crash();
    for (;;) barrier();
}

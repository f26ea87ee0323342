/* Encodes what comes on standard input by ISA-L: int32 k, m, length; m*k coefficients; k data shares. Answers with m parity shares.
 * With the argument "bench": prints MB/s of user data at 1 MiB for the codes given, by the AVX2 and the SSE path. */
#include <isa-l.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void ec_encode_data_avx2(int, int, int, unsigned char *, unsigned char **, unsigned char **);
void ec_encode_data_sse(int, int, int, unsigned char *, unsigned char **, unsigned char **);

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static unsigned char *share(int length) {
    unsigned char *bytes = aligned_alloc(64, (length + 63) / 64 * 64);
    for (int i = 0; i < length; i++) bytes[i] = (unsigned char)rand();
    return bytes;
}

static void bench(int k, int n) {
    unsigned char matrix[32 * 32], tables[32 * 32 * 32], *shares[32];
    int length = ((1 << 20) / k + 127) / 128 * 128;
    for (int i = 0; i < n; i++) shares[i] = share(length);
    gf_gen_cauchy1_matrix(matrix, n, k);
    ec_init_tables(k, n - k, matrix + k * k, tables);
    for (int path = 0; path < 2; path++) {
        double best = 1e9;
        for (int round = 0; round < 50; round++) {
            double start = now_ms();
            for (int i = 0; i < 20; i++) (path ? ec_encode_data_sse : ec_encode_data_avx2)(length, k, n - k, tables, shares, shares + k);
            double each = (now_ms() - start) / 20;
            if (each < best) best = each;
        }
        printf("%d %d %s %.0f\n", k, n, path ? "sse" : "avx2", 1048.576 / best);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "bench") == 0) {
        for (int i = 2; i + 1 < argc; i += 2) bench(atoi(argv[i]), atoi(argv[i + 1]));
        return 0;
    }
    int32_t head[3];
    unsigned char matrix[32 * 32], tables[32 * 32 * 32], *shares[64];
    if (fread(head, 4, 3, stdin) != 3) return 1;
    int k = head[0], m = head[1], length = head[2];
    if (fread(matrix, 1, m * k, stdin) != (size_t)(m * k)) return 1;
    for (int i = 0; i < k + m; i++) shares[i] = share(length);
    for (int i = 0; i < k; i++) if (fread(shares[i], 1, length, stdin) != (size_t)length) return 1;
    ec_init_tables(k, m, matrix, tables);
    ec_encode_data(length, k, m, tables, shares, shares + k);
    for (int i = 0; i < m; i++) fwrite(shares[k + i], 1, length, stdout);
    return 0;
}

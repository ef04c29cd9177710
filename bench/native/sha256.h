// SHA-256 (FIPS 180-4).
#ifndef SYNCNAS_SHA256_H
#define SYNCNAS_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_HEX_BYTES = 65 };

struct sha256 {
    uint32_t state[8];
    uint64_t length_bytes;
    unsigned char block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, const void *data, size_t bytes);

// The digest so far as 64 lower-case hex digits and a zero; `hash` itself may go on.
void sha256_hex(const struct sha256 *hash, char hex[SHA256_HEX_BYTES]);

#endif

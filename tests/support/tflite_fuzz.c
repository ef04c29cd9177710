// Spoils a .tflite file COUNT times and checks each: tflite_fuzz SEED_FILE SCRATCH_FILE COUNT SEED
// Built with AddressSanitizer and UBSan, which end it at the first wrong access; SCRATCH_FILE is then the input.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflite_file.h"

static uint64_t state;

// Source: Vigna, xorshift64*.
static uint64_t draw(uint64_t below) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1DULL >> 11) % below;
}

static const uint32_t WORDS[] = {0, 1, 2, 4, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC};

// Most of what can go wrong stands in the first bytes and in offsets, so numbers are changed more often than bits.
static size_t spoil(unsigned char *bytes, size_t length, size_t tables_end) {
    size_t end = draw(4) ? (tables_end < length ? tables_end : length) : length;
    for (uint64_t left = 1 + draw(4); left > 0; left--) {
        size_t at = (size_t)draw(end);
        uint32_t word = WORDS[draw(sizeof WORDS / sizeof *WORDS)] + (uint32_t)draw(3) - 1;
        if (draw(3) == 0) word = (uint32_t)draw(2 * length);
        size_t size = draw(2) ? 4 : 2;
        if (draw(4) == 0) bytes[at] ^= (unsigned char)(1 << draw(8));
        else if (at + size <= length) memcpy(bytes + at, &word, size);
    }
    return draw(8) ? length : (size_t)draw(length + 1);
}

int main(int count, char **words) {
    if (count != 5) return 2;
    FILE *file = fopen(words[1], "rb");
    if (!file || fseek(file, 0, SEEK_END)) return 2;
    size_t length = (size_t)ftell(file);
    rewind(file);
    unsigned char *good = malloc(length), *bad = malloc(length);
    if (!good || !bad || fread(good, 1, length, file) != length) return 2;
    fclose(file);
    state = strtoull(words[4], NULL, 10) * 2 + 1;
    unsigned long read = 0, refused = 0;
    for (unsigned long left = strtoul(words[3], NULL, 10); left > 0; left--) {
        memcpy(bad, good, length);
        size_t bytes = spoil(bad, length, 20000);
        file = fopen(words[2], "wb");
        if (!file || fwrite(bad, 1, bytes, file) != bytes || fclose(file)) return 2;
        struct failure failure = {0};
        if (tflite_file_check(words[2], &failure) == 0) {
            read++;
        } else if (failure.code == FAILURE_MODEL && failure.text[0]) {
            refused++;
        } else {
            fprintf(stderr, "failed with code %d and text '%s'\n", (int)failure.code, failure.text);
            return 1;
        }
    }
    printf("%lu %lu\n", read, refused);
    free(good);
    free(bad);
    return 0;
}

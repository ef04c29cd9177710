#include "system.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <shellapi.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wchar.h>

static const int MASK_CORES = 64;  // of the first processor group

static bool widen(const char *path, wchar_t wide[PLAN_PATH_BYTES]) {
    errno = EINVAL;
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PLAN_PATH_BYTES) > 0;
}

void system_start(int count, char **arguments) {
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
    int wide_count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &wide_count);  // kept as long as the program runs
    for (int i = 0; wide != NULL && i < count && i < wide_count; i++) {
        const int bytes = 3 * (int)wcslen(wide[i]) + 1;
        char *argument = malloc((size_t)bytes);
        if (argument != NULL && WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, argument, bytes, NULL, NULL) > 0) {
            arguments[i] = argument;
        }
    }
}

FILE *system_open(const char *path, const char *mode) {
    wchar_t wide[PLAN_PATH_BYTES];
    const wchar_t binary[] = {(wchar_t)mode[0], L'b', 0};
    return widen(path, wide) ? _wfopen(wide, binary) : NULL;
}

static DWORD_PTR allowed_cores(void) {
    DWORD_PTR process = 0, machine = 0;
    return GetProcessAffinityMask(GetCurrentProcess(), &process, &machine) ? process : 0;
}

// The core of simulated unit number `index`, or none where there are not enough.
static DWORD_PTR own_core(int index) {
    DWORD_PTR left = allowed_cores();
    while (index-- > 0) left &= left - 1;
    return left & -left;
}

int system_pin(const struct plan_unit *plan, int index, struct failure *failure) {
    DWORD_PTR wanted = plan->kind == UNIT_SIM ? own_core(index) : 0;
    if (plan->core_count > 0 && plan->threads > 1) {
        return fail(failure, FAILURE_UNIT, "Windows pins no thread that LiteRT starts; ask for cpu:1 with one core, or "
                    "for cpu:%d without cores", plan->threads);
    }
    for (int core = 0, left = plan->core_count; left > 0 && core < PLAN_CORES; core++) {
        if (!plan->cores[core]) continue;
        left--;
        if (core >= MASK_CORES) {
            return fail(failure, FAILURE_UNIT, "Windows pins to processors 0 to %d alone", MASK_CORES - 1);
        }
        wanted |= (DWORD_PTR)1 << core;
    }
    if ((wanted & allowed_cores()) != wanted) {
        return fail(failure, FAILURE_UNIT, "a CPU unit is pinned to cores that this process may not all use");
    }
    if (wanted == 0 || SetThreadAffinityMask(GetCurrentThread(), wanted) != 0) return 0;
    return fail(failure, FAILURE_UNIT, "a unit cannot be pinned to its cores (Windows error %lu)", GetLastError());
}

void *system_load_litert(const char *path, struct failure *failure) {
    wchar_t wide[PLAN_PATH_BYTES];
    // What the library needs lies beside it.
    HMODULE library = widen(path, wide) ? LoadLibraryExW(wide, NULL, LOAD_WITH_ALTERED_SEARCH_PATH) : NULL;
    if (library != NULL) return library;
    const DWORD error = GetLastError();
    fail(failure, FAILURE_RUNTIME, "LiteRT library cannot be loaded: %s (Windows error %lu)%s", path, error,
         error != ERROR_MOD_NOT_FOUND ? "" : "; if it is there, install Microsoft's newest Visual C++ Redistributable");
    return NULL;
}

void *system_find(void *library, const char *symbol) { return (void *)GetProcAddress(library, symbol); }

void *system_allocate(size_t alignment, size_t bytes) {
    void *memory = _aligned_malloc(bytes, alignment);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

void system_free(void *memory) { _aligned_free(memory); }

const char *system_map(const char *path, struct mapped_file *file) {
    wchar_t wide[PLAN_PATH_BYTES];
    struct _stat64 status;
    *file = (struct mapped_file){0};
    const int descriptor = widen(path, wide) ? _wopen(wide, _O_RDONLY | _O_BINARY | _O_NOINHERIT) : -1;
    if (descriptor < 0) return strerror(errno);
    const bool regular = _fstat64(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    if (regular) file->bytes = (size_t)status.st_size;
    if (file->bytes > 0) {
        HANDLE mapping = CreateFileMappingW((HANDLE)_get_osfhandle(descriptor), NULL, PAGE_READONLY, 0, 0, NULL);
        if (mapping != NULL) file->data = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
        if (mapping != NULL) CloseHandle(mapping);
    }
    _close(descriptor);
    if (!regular) return "it is not a file";
    return file->bytes > 0 && file->data == NULL ? "Windows does not map it" : NULL;
}

void system_unmap(const struct mapped_file *file) {
    if (file->data != NULL) UnmapViewOfFile(file->data);
}

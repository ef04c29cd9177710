// The offsets of the functions that the library uses: in a JDK's own header, or in our table of them (-DOURS).
#include <stddef.h>
#include <stdio.h>

#ifdef OURS
#include "library/jni_table.h"
typedef struct jni_table table;
#else
#include <jni.h>
typedef struct JNINativeInterface_ table;
#endif

#define SHOW(name) printf(#name " %zu\n", offsetof(table, name))

int main(void) {
    SHOW(GetArrayLength);
    SHOW(GetObjectArrayElement);
    SHOW(GetByteArrayRegion);
    SHOW(GetIntArrayRegion);
    SHOW(GetLongArrayRegion);
    SHOW(SetByteArrayRegion);
    SHOW(SetIntArrayRegion);
    SHOW(SetLongArrayRegion);
    SHOW(GetDirectBufferAddress);
    SHOW(GetDirectBufferCapacity);
    printf("jint %zu jlong %zu jsize %zu jobject %zu\n", sizeof(jint), sizeof(jlong), sizeof(jsize), sizeof(jobject));
    return 0;
}

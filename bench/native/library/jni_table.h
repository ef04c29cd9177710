// The part of Java's native interface that the library uses, declared by hand: a table of functions, each at its slot.
// Source: the JNI specification, "Interface Function Table". A test compares it with a JDK's own header.
#ifndef SYNCNAS_JNI_TABLE_H
#define SYNCNAS_JNI_TABLE_H

#include <stdint.h>

typedef int32_t jint, jsize;
typedef int64_t jlong;
typedef int8_t jbyte;
typedef void *jobject;
typedef jobject jclass, jarray, jobjectArray, jbyteArray, jintArray, jlongArray;

struct jni_table;
typedef const struct jni_table *JNIEnv;

struct jni_table {
    void *slots_0[171];
    jsize (*GetArrayLength)(JNIEnv *, jarray);  // 171
    void *slots_172[1];
    jobject (*GetObjectArrayElement)(JNIEnv *, jobjectArray, jsize);  // 173
    void *slots_174[26];
    void (*GetByteArrayRegion)(JNIEnv *, jbyteArray, jsize, jsize, jbyte *);  // 200
    void *slots_201[2];
    void (*GetIntArrayRegion)(JNIEnv *, jintArray, jsize, jsize, jint *);     // 203
    void (*GetLongArrayRegion)(JNIEnv *, jlongArray, jsize, jsize, jlong *);  // 204
    void *slots_205[3];
    void (*SetByteArrayRegion)(JNIEnv *, jbyteArray, jsize, jsize, const jbyte *);  // 208
    void *slots_209[2];
    void (*SetIntArrayRegion)(JNIEnv *, jintArray, jsize, jsize, const jint *);     // 211
    void (*SetLongArrayRegion)(JNIEnv *, jlongArray, jsize, jsize, const jlong *);  // 212
    void *slots_213[17];
    void *(*GetDirectBufferAddress)(JNIEnv *, jobject);   // 230
    jlong (*GetDirectBufferCapacity)(JNIEnv *, jobject);  // 231
};

#endif

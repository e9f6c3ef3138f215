/*
 * A libnvidia-ml.so.1 for machines without a GPU: it answers from the JSON file in FAKE_NVML,
 * which is read again whenever it changes. See __init__.py for what the file says.
 *
 * It proves inventory, health, metering and accounting. It computes nothing and isolates nobody.
 * Signatures and structures are those of NVIDIA's nvml.h, as pynvml calls them.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    TIMEOUT = 10,
    GPU_IS_LOST = 15
};
#define MIB (1024ULL * 1024ULL)
#define NOT_AVAILABLE (~0ULL)
#define EVENT_XID 8ULL

typedef void *device_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process_t;
typedef struct { unsigned pid; unsigned long long at; unsigned sm, memory, enc, dec; } sample_t;
typedef struct { device_t device; unsigned long long type, data; unsigned gi, ci; } event_t;
typedef struct { unsigned version, sensor; int celsius; } temperature_v1_t;
typedef struct {
    unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mb;
} attributes_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json *state;
static struct stat seen;
static int initialized;

/* Read the file again when it is another one. With the lock held. */
static void refresh(void)
{
    const char *path = getenv("FAKE_NVML");
    struct stat now;
    if (!path || stat(path, &now))
        return;
    if (state && now.st_ino == seen.st_ino && now.st_size == seen.st_size &&
        now.st_mtim.tv_sec == seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
        return;
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    char *whole = calloc(1, (size_t)now.st_size + 1);
    size_t size = fread(whole, 1, (size_t)now.st_size, file);
    fclose(file);
    whole[size] = 0;
    json *fresh = json_parse(whole);
    free(whole);
    if (!fresh) {
        fprintf(stderr, "fake NVML: %s is no JSON\n", path);
        return;
    }
    json_free(state);
    state = fresh;
    seen = now;
}

static double hang_s(const char *call)
{
    pthread_mutex_lock(&lock);
    refresh();
    double s = json_number(json_get(state, "hangs"), call, 0);
    pthread_mutex_unlock(&lock);
    return s;
}

/* Stand still as long as the file says so, then take the lock; an error the file wants. */
static int enter(const char *call)
{
    struct timespec pause = {0, 20 * 1000 * 1000};
    for (double waited = 0; waited < hang_s(call); waited += 0.02)
        nanosleep(&pause, NULL);
    pthread_mutex_lock(&lock);
    refresh();
    if (!state)
        return DRIVER_NOT_LOADED;
    return (int)json_number(json_get(state, "errors"), call, OK);
}

static int leave(int code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

/* A handle is 1 + the GPU's place, and 65536 * (1 + the instance's place) for a MIG instance. */
static int gpu_of(device_t handle) { return (int)((uintptr_t)handle & 0xffff) - 1; }
static int mig_of(device_t handle) { return (int)((uintptr_t)handle >> 16) - 1; }
static device_t handle_of(int gpu, int mig)
{
    return (device_t)(uintptr_t)((gpu + 1) | (mig + 1) << 16);
}

static const json *gpu_at(int index) { return json_at(json_get(state, "devices"), index); }
static const json *instances(const json *gpu) { return json_get(gpu, "mig"); }

/* The GPU or the MIG instance of a handle; NULL, with the error in *code. */
static const json *find(device_t handle, const char *call, int *code)
{
    const json *gpu = gpu_at(gpu_of(handle));
    *code = OK;
    if (!gpu || json_number(gpu, "lost", 0))
        *code = GPU_IS_LOST;
    else
        *code = (int)json_number(json_get(gpu, "errors"), call, OK);
    if (*code)
        return NULL;
    if (mig_of(handle) < 0)
        return gpu;
    const json *instance = json_at(instances(gpu), mig_of(handle));
    if (!instance)
        *code = NOT_FOUND;
    return instance;
}

/* Begin a call about one device; `found` and `code` are there afterwards. */
#define ABOUT(handle)                                   \
    int code = enter(__func__);                         \
    if (code)                                           \
        return leave(code);                             \
    const json *found = find(handle, __func__, &code);  \
    if (code)                                           \
        return leave(code)

static int put(char *to, unsigned size, const char *text)
{
    if (strlen(text) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return OK;
}

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    int code = enter(__func__);
    initialized = code == OK;
    return leave(code);
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void)
{
    initialized = 0;
    return OK;
}

const char *nvmlErrorString(int code)
{
    switch (code) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case TIMEOUT: return "Timeout";
    case GPU_IS_LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *to, unsigned size)
{
    int code = enter(__func__);
    return leave(code ? code : put(to, size, json_string(state, "driver", "550.54.15")));
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    int code = enter(__func__);
    if (!code && !initialized)
        code = UNINITIALIZED;
    if (!code)
        *count = (unsigned)json_number(state, "count", json_size(json_get(state, "devices")));
    return leave(code);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *handle)
{
    int code = enter(__func__);
    const json *gpu = code ? NULL : gpu_at((int)index);
    if (!code)
        code = gpu ? (int)json_number(json_get(gpu, "errors"), __func__, OK) : INVALID_ARGUMENT;
    if (!code)
        *handle = handle_of((int)index, -1);
    return leave(code);
}

int nvmlDeviceGetUUID(device_t handle, char *to, unsigned size)
{
    /* A lost GPU still knows its name, as with the real library. */
    int code = enter(__func__);
    if (code)
        return leave(code);
    const json *gpu = gpu_at(gpu_of(handle));
    const json *which = mig_of(handle) < 0 ? gpu : json_at(instances(gpu), mig_of(handle));
    if (!which)
        return leave(GPU_IS_LOST);
    code = (int)json_number(json_get(gpu, "errors"), __func__, OK);
    return leave(code ? code : put(to, size, json_string(which, "uuid", "")));
}

int nvmlDeviceGetName(device_t handle, char *to, unsigned size)
{
    ABOUT(handle);
    return leave(put(to, size, json_string(found, "name", "NVIDIA Fake")));
}

int nvmlDeviceGetMemoryInfo(device_t handle, memory_t *memory)
{
    ABOUT(handle);
    memory->total = (unsigned long long)(json_number(found, "memory_mib", 16384) * MIB);
    memory->used = (unsigned long long)(json_number(found, "used_mib", 0) * MIB);
    memory->free = memory->total - memory->used;
    return leave(OK);
}

int nvmlDeviceGetMemoryInfo_v2(device_t handle, memory_v2_t *memory)
{
    memory_t plain;
    int code = nvmlDeviceGetMemoryInfo(handle, &plain);
    if (!code) {
        memory->total = plain.total;
        memory->used = plain.used;
        memory->free = plain.free;
        memory->reserved = 0;
    }
    return code;
}

int nvmlDeviceGetUtilizationRates(device_t handle, utilization_t *rates)
{
    ABOUT(handle);
    if (mig_of(handle) >= 0 || instances(found))
        return leave(NOT_SUPPORTED);
    rates->gpu = (unsigned)json_number(found, "utilization", 0);
    rates->memory = 0;
    return leave(OK);
}

int nvmlDeviceGetComputeRunningProcesses_v3(device_t handle, unsigned *count, process_t *processes)
{
    ABOUT(handle);
    const json *list = json_get(found, "processes");
    unsigned there = (unsigned)json_size(list), room = *count;
    *count = (unsigned)json_number(found, "process_count", there);
    if (!*count)
        return leave(OK);
    if (!processes || room < *count)
        return leave(INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < *count; ++i) {
        const json *process = json_at(list, (int)(i < there ? i : 0));
        double used = json_number(process, "used_mib", -1);
        processes[i].pid = (unsigned)json_number(process, "pid", 0);
        processes[i].used = used < 0 ? NOT_AVAILABLE : (unsigned long long)(used * MIB);
        processes[i].gi = processes[i].ci = 0xffffffff;
    }
    return leave(OK);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t handle, unsigned *count, process_t *none)
{
    ABOUT(handle);
    (void)found, (void)none;
    *count = 0;
    return leave(OK);
}

/* One sample of each process that says how busy it is, taken now. */
int nvmlDeviceGetProcessUtilization(
    device_t handle, sample_t *samples, unsigned *count, unsigned long long since)
{
    ABOUT(handle);
    if (mig_of(handle) >= 0 || instances(found))
        return leave(NOT_SUPPORTED);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long us = (unsigned long long)now.tv_sec * 1000000ULL + (unsigned)now.tv_nsec / 1000;
    unsigned filled = 0, room = samples ? *count : 0;
    for (const json *each = json_at(json_get(found, "processes"), 0); each; each = each->next) {
        double sm = json_number(each, "sm", -1);
        if (sm < 0 || since >= us)
            continue;
        if (filled < room) {
            memset(&samples[filled], 0, sizeof *samples);
            samples[filled].pid = (unsigned)json_number(each, "pid", 0);
            samples[filled].at = us;
            samples[filled].sm = (unsigned)sm;
        }
        ++filled;
    }
    *count = filled;
    if (!filled)
        return leave(NOT_FOUND);
    return leave(room < filled ? INSUFFICIENT_SIZE : OK);
}

int nvmlDeviceGetTemperatureV(device_t handle, temperature_v1_t *temperature)
{
    ABOUT(handle);
    temperature->celsius = (int)json_number(found, "celsius", 40);
    return leave(OK);
}

int nvmlDeviceGetTemperatureThreshold(device_t handle, unsigned kind, unsigned *celsius)
{
    ABOUT(handle);
    if (kind > 1)
        return leave(NOT_SUPPORTED);
    *celsius = (unsigned)(kind == 0 ? json_number(found, "shutdown_celsius", 98)
                                    : json_number(found, "slowdown_celsius", 95));
    return leave(OK);
}

int nvmlDeviceGetTotalEccErrors(device_t handle, unsigned kind, unsigned counter, unsigned long long *errors)
{
    ABOUT(handle);
    (void)counter;
    const json *count = json_get(found, "ecc_uncorrected");
    if (!count)
        return leave(NOT_SUPPORTED);
    *errors = kind == 1 ? (unsigned long long)count->number : 0;
    return leave(OK);
}

int nvmlDeviceGetMigMode(device_t handle, unsigned *current, unsigned *pending)
{
    ABOUT(handle);
    if (mig_of(handle) >= 0)
        return leave(INVALID_ARGUMENT);
    if (!instances(found) && !json_number(found, "mig_capable", 0))
        return leave(NOT_SUPPORTED);
    *current = *pending = instances(found) != NULL;
    return leave(OK);
}

int nvmlDeviceGetMaxMigDeviceCount(device_t handle, unsigned *count)
{
    ABOUT(handle);
    *count = instances(found) ? 7 : 0;
    return leave(OK);
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t handle, unsigned index, device_t *instance)
{
    ABOUT(handle);
    if (!json_at(instances(found), (int)index))
        return leave(NOT_FOUND);
    *instance = handle_of(gpu_of(handle), (int)index);
    return leave(OK);
}

int nvmlDeviceGetAttributes_v2(device_t handle, attributes_t *attributes)
{
    ABOUT(handle);
    if (mig_of(handle) < 0)
        return leave(NOT_SUPPORTED);
    memset(attributes, 0, sizeof *attributes);
    attributes->gpu_slices = attributes->compute_slices = (unsigned)json_number(found, "slices", 1);
    attributes->memory_mb = (unsigned long long)json_number(found, "memory_mib", 0);
    return leave(OK);
}

/* An event set is the number of the last event that was read from it. */
int nvmlEventSetCreate(void **set)
{
    int code = enter(__func__);
    if (!code)
        *set = calloc(1, sizeof(double));
    return leave(code);
}

int nvmlEventSetFree(void *set)
{
    free(set);
    return OK;
}

int nvmlDeviceRegisterEvents(device_t handle, unsigned long long types, void *set)
{
    ABOUT(handle);
    (void)found, (void)types, (void)set;
    return leave(OK);
}

int nvmlEventSetWait_v2(void *set, event_t *event, unsigned timeout_ms)
{
    (void)timeout_ms;
    int code = enter(__func__);
    if (code)
        return leave(code);
    double *last = set;
    for (const json *each = json_at(json_get(state, "events"), 0); each; each = each->next) {
        double number = json_number(each, "number", 0);
        if (number <= *last)
            continue;
        *last = number;
        memset(event, 0, sizeof *event);
        event->device = handle_of((int)json_number(each, "device", 0), -1);
        event->type = EVENT_XID;
        event->data = (unsigned long long)json_number(each, "xid", 0);
        event->gi = event->ci = 0xffffffff;
        return leave(OK);
    }
    return leave(TIMEOUT);
}

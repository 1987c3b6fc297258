/*
 * A PKCS#11 module between a program and another module, that counts what reaches the token and
 * behaves as badly as it is told.
 *
 * SoftHSM2 never locks, never vanishes, never hangs and has no pad to type a PIN on; real tokens do all
 * of it. This forwards to the module named by P11_SHIM_MODULE and is told what to do by small files in the
 * folder named by P11_SHIM_FOLDER, looked at anew at every call, so that a test can change the token while
 * a process uses it:
 *
 *   pad            the token has a pad: a PIN in the call is refused, the PIN typed is this file's content
 *   always         the key asks for the PIN before every signature (CKA_ALWAYS_AUTHENTICATE)
 *   lock           the token locks itself after as many wrong PINs as the file says; `wrong` counts them
 *   absent         the token is not there; with a number n in it, not before the n-th signature from now
 *   slow           every signature takes that many milliseconds longer
 *   hang           C_Sign never returns; with a number n, not before the n-th signature from now
 *   die-before     the process ends by SIGKILL before the token is asked, at the n-th signature from now
 *   die-during     after the token was asked and before it answered
 *   die-after      after the token answered and before the program sees the answer
 *   kill-parent    with die-*: the process that started this one is ended by SIGKILL first
 *
 * Every signature and login that reaches the token is one line in `calls`, written before the token is
 * asked and therefore there whatever dies. The file system keeps the lines of a killed process.
 *
 * It holds no secret and must not be used as a module by an office. Only C_Sign and C_SignFinal are counted
 * that ask for the signature itself; asking how long it would be does not use the key.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long rv_t, ulong_t;
typedef unsigned char byte_t;

/* Places in CK_FUNCTION_LIST (PKCS#11 2.40, pkcs11f.h), counted from its first function. */
enum {
    GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, LOGIN = 18,
    GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS_INIT = 26, SIGN_INIT = 42, SIGN = 43, SIGN_FINAL = 45,
    FUNCTIONS = 68
};

enum {
    OK = 0x0, GENERAL_ERROR = 0x5, ARGUMENTS_BAD = 0x7, DEVICE_REMOVED = 0x32, PIN_INCORRECT = 0xA0,
    PIN_LOCKED = 0xA4, TOKEN_NOT_PRESENT = 0xE0, USER_NOT_LOGGED_IN = 0x101
};
enum { ALWAYS_AUTHENTICATE = 0x202, FLAG_PAD = 0x100, FLAG_FINAL_TRY = 0x20000, FLAG_LOCKED = 0x40000 };
enum { USER = 1, CONTEXT_SPECIFIC = 2 };

struct list { struct { byte_t major, minor; } version; void *function[FUNCTIONS]; };
struct attribute { ulong_t type; void *value; ulong_t length; };
struct token_info { byte_t texts[96]; ulong_t flags; };

static struct list ours;
static struct list *theirs;
static int reaffirmed;  /* whether the PIN was given since the last C_SignInit */
static byte_t accepted[256];  /* the PIN that the token took, to compare later ones with */
static ulong_t accepted_length;

static void path_of(char *out, const char *name)
{
    const char *folder = getenv("P11_SHIM_FOLDER");
    snprintf(out, 4096, "%s/%s", folder ? folder : ".", name);
}

/* Return a file's content in `out` and its length, or -1 when there is none. */
static long content_of(const char *name, char *out, size_t room)
{
    char path[4096];
    path_of(path, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    long length = read(file, out, room - 1);
    close(file);
    if (length < 0) length = 0;
    while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == '\r')) length--;
    out[length] = 0;
    return length;
}

static int is_there(const char *name)
{
    char path[4096];
    path_of(path, name);
    return access(path, F_OK) == 0;
}

static void write_number(const char *name, long number)
{
    char path[4096], text[32];
    path_of(path, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return;
    int length = snprintf(text, sizeof text, "%ld\n", number);
    if (write(file, text, length) != length) _exit(70);
    close(file);
}

static long number_in(const char *name, long otherwise)
{
    char text[64];
    return content_of(name, text, sizeof text) > 0 ? atol(text) : otherwise;
}

/* Tell whether a fault that is due at the n-th signature is due at this one. */
static int is_due(const char *name)
{
    if (!is_there(name)) return 0;
    long left = number_in(name, 0);
    if (left > 1) { write_number(name, left - 1); return 0; }
    return 1;
}

static int is_absent(void)
{
    return is_there("absent") && number_in("absent", 0) == 0;
}

/* Add one line to `calls`; O_APPEND keeps lines of several processes whole. */
static void tell(const char *what)
{
    char path[4096], line[128];
    path_of(path, "calls");
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(line, sizeof line, "%s %ld\n", what, (long)getpid());
    if (file < 0 || write(file, line, length) != length) _exit(70);
    close(file);
}

static void die(const char *name)
{
    char path[4096];
    path_of(path, name);
    unlink(path);  /* a fault happens once */
    if (is_there("kill-parent") && getppid() > 1) kill(getppid(), SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static rv_t get_slot_list(byte_t present, ulong_t *slots, ulong_t *count)
{
    rv_t (*real)(byte_t, ulong_t *, ulong_t *) = theirs->function[GET_SLOT_LIST];
    if (present && is_absent()) { *count = 0; return OK; }
    return real(present, slots, count);
}

static rv_t get_token_info(ulong_t slot, struct token_info *info)
{
    rv_t (*real)(ulong_t, struct token_info *) = theirs->function[GET_TOKEN_INFO];
    if (is_absent()) return TOKEN_NOT_PRESENT;
    rv_t answer = real(slot, info);
    if (answer != OK) return answer;
    if (is_there("pad")) info->flags |= FLAG_PAD;
    long most = number_in("lock", 0), wrong = number_in("wrong", 0);
    if (most && wrong >= most) info->flags |= FLAG_LOCKED;
    else if (most && wrong == most - 1) info->flags |= FLAG_FINAL_TRY;
    return OK;
}

static rv_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session)
{
    rv_t (*real)(ulong_t, ulong_t, void *, void *, ulong_t *) = theirs->function[OPEN_SESSION];
    return is_absent() ? TOKEN_NOT_PRESENT : real(slot, flags, application, notify, session);
}

static rv_t find_objects_init(ulong_t session, struct attribute *template, ulong_t count)
{
    rv_t (*real)(ulong_t, struct attribute *, ulong_t) = theirs->function[FIND_OBJECTS_INIT];
    return is_absent() ? DEVICE_REMOVED : real(session, template, count);
}

static rv_t counted_wrong(rv_t answer)
{
    if (answer == PIN_INCORRECT) write_number("wrong", number_in("wrong", 0) + 1);
    else if (answer == OK) write_number("wrong", 0);
    return answer;
}

static rv_t login(ulong_t session, ulong_t user, byte_t *pin, ulong_t length)
{
    rv_t (*real)(ulong_t, ulong_t, byte_t *, ulong_t) = theirs->function[LOGIN];
    char typed[256];
    long most = number_in("lock", 0);
    if (is_absent()) return DEVICE_REMOVED;
    if (most && number_in("wrong", 0) >= most) return PIN_LOCKED;
    if (is_there("pad")) {
        if (pin != NULL) return ARGUMENTS_BAD;
        long count = content_of("pad", typed, sizeof typed);
        pin = (byte_t *)typed;
        length = count > 0 ? (ulong_t)count : 0;
    }
    tell(user == CONTEXT_SPECIFIC ? "login-again" : "login");
    if (user == CONTEXT_SPECIFIC && is_there("always")) {
        int same = length == accepted_length && memcmp(pin, accepted, length) == 0;
        reaffirmed = same;
        return counted_wrong(same ? OK : PIN_INCORRECT);
    }
    rv_t answer = real(session, user, pin, length);
    if (answer == OK && user == USER && length < sizeof accepted) {
        memcpy(accepted, pin, length);
        accepted_length = length;
    }
    return counted_wrong(answer);
}

static rv_t get_attribute_value(ulong_t session, ulong_t object, struct attribute *template, ulong_t count)
{
    rv_t (*real)(ulong_t, ulong_t, struct attribute *, ulong_t) = theirs->function[GET_ATTRIBUTE_VALUE];
    rv_t answer = real(session, object, template, count);
    for (ulong_t i = 0; i < count && is_there("always"); i++)
        if (template[i].type == ALWAYS_AUTHENTICATE && template[i].value != NULL && template[i].length == 1)
            *(byte_t *)template[i].value = 1;
    return answer;
}

static rv_t sign_init(ulong_t session, void *mechanism, ulong_t key)
{
    rv_t (*real)(ulong_t, void *, ulong_t) = theirs->function[SIGN_INIT];
    reaffirmed = 0;
    return is_absent() ? DEVICE_REMOVED : real(session, mechanism, key);
}

/* What happens before the token gives a signature; anything but OK is the answer instead. */
static rv_t before_signing(void)
{
    if (is_due("absent")) write_number("absent", 0);
    if (is_due("die-before")) die("die-before");
    if (is_there("always") && !reaffirmed) return USER_NOT_LOGGED_IN;
    tell("sign");
    if (is_absent()) return DEVICE_REMOVED;
    if (is_due("hang")) for (;;) pause();
    long milliseconds = number_in("slow", 0);
    struct timespec rest = { milliseconds / 1000, (milliseconds % 1000) * 1000000 };
    if (milliseconds) nanosleep(&rest, NULL);
    if (is_due("die-during")) die("die-during");
    return OK;
}

static rv_t after_signing(rv_t answer)
{
    reaffirmed = 0;
    if (is_due("die-after")) die("die-after");
    return answer;
}

static rv_t sign(ulong_t session, byte_t *data, ulong_t size, byte_t *signature, ulong_t *length)
{
    rv_t (*real)(ulong_t, byte_t *, ulong_t, byte_t *, ulong_t *) = theirs->function[SIGN];
    if (signature == NULL) return real(session, data, size, NULL, length);
    rv_t trouble = before_signing();
    return trouble != OK ? trouble : after_signing(real(session, data, size, signature, length));
}

static rv_t sign_final(ulong_t session, byte_t *signature, ulong_t *length)
{
    rv_t (*real)(ulong_t, byte_t *, ulong_t *) = theirs->function[SIGN_FINAL];
    if (signature == NULL) return real(session, NULL, length);
    rv_t trouble = before_signing();
    return trouble != OK ? trouble : after_signing(real(session, signature, length));
}

/* The same under its own name, for whoever looks functions up one by one. */
rv_t C_Login(ulong_t session, ulong_t user, byte_t *pin, ulong_t length)
{
    return login(session, user, pin, length);
}

rv_t C_GetFunctionList(struct list **out)
{
    if (theirs == NULL) {
        const char *path = getenv("P11_SHIM_MODULE");
        void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        rv_t (*get)(struct list **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
        if (get == NULL || get(&theirs) != OK) return GENERAL_ERROR;
        memcpy(&ours, theirs, sizeof ours);
        ours.function[GET_FUNCTION_LIST] = C_GetFunctionList;
        ours.function[GET_SLOT_LIST] = get_slot_list;
        ours.function[GET_TOKEN_INFO] = get_token_info;
        ours.function[OPEN_SESSION] = open_session;
        ours.function[LOGIN] = login;
        ours.function[GET_ATTRIBUTE_VALUE] = get_attribute_value;
        ours.function[FIND_OBJECTS_INIT] = find_objects_init;
        ours.function[SIGN_INIT] = sign_init;
        ours.function[SIGN] = sign;
        ours.function[SIGN_FINAL] = sign_final;
    }
    *out = &ours;
    return OK;
}

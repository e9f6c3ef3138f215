#include "json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static json *value(const char **at);

static void blank(const char **at)
{
    while (isspace((unsigned char)**at))
        ++*at;
}

/* Without \u escapes: nothing in the state file needs them. */
static char *text(const char **at)
{
    if (**at != '"')
        return NULL;
    char *made = malloc(strlen(*at)), *end = made;
    for (++*at; **at && **at != '"'; ++*at) {
        if (**at == '\\' && (*at)[1])
            ++*at;
        *end++ = **at;
    }
    *end = 0;
    if (**at != '"') {
        free(made);
        return NULL;
    }
    ++*at;
    return made;
}

static json *members(const char **at, json *parent, char close)
{
    json **place = &parent->first;
    ++*at;
    blank(at);
    if (**at == close) {
        ++*at;
        return parent;
    }
    for (;;) {
        char *key = NULL;
        blank(at);
        if (close == '}') {
            key = text(at);
            blank(at);
            if (!key || **at != ':') {
                free(key);
                return NULL;
            }
            ++*at;
        }
        json *member = value(at);
        if (!member) {
            free(key);
            return NULL;
        }
        member->key = key;
        *place = member;
        place = &member->next;
        blank(at);
        if (**at == close) {
            ++*at;
            return parent;
        }
        if (**at != ',')
            return NULL;
        ++*at;
    }
}

static json *word(const char **at, json *made, const char *spelt, json_type type, double number)
{
    if (strncmp(*at, spelt, strlen(spelt)))
        return NULL;
    *at += strlen(spelt);
    made->type = type;
    made->number = number;
    return made;
}

static json *value(const char **at)
{
    json *made = calloc(1, sizeof *made), *done = NULL;
    blank(at);
    if (**at == '{' || **at == '[') {
        made->type = **at == '{' ? JSON_OBJECT : JSON_ARRAY;
        done = members(at, made, **at == '{' ? '}' : ']');
    } else if (**at == '"') {
        made->type = JSON_STRING;
        done = (made->string = text(at)) ? made : NULL;
    } else if (**at == 't') {
        done = word(at, made, "true", JSON_BOOL, 1);
    } else if (**at == 'f') {
        done = word(at, made, "false", JSON_BOOL, 0);
    } else if (**at == 'n') {
        done = word(at, made, "null", JSON_NULL, 0);
    } else {
        char *end;
        made->type = JSON_NUMBER;
        made->number = strtod(*at, &end);
        done = end == *at ? NULL : made;
        *at = end;
    }
    if (!done)
        json_free(made);
    return done;
}

json *json_parse(const char *whole)
{
    const char *at = whole;
    json *made = value(&at);
    blank(&at);
    if (made && *at) {
        json_free(made);
        return NULL;
    }
    return made;
}

void json_free(json *of)
{
    while (of) {
        json *next = of->next;
        json_free(of->first);
        free(of->string);
        free(of->key);
        free(of);
        of = next;
    }
}

const json *json_get(const json *object, const char *key)
{
    const json *each = object && object->type == JSON_OBJECT ? object->first : NULL;
    while (each && strcmp(each->key, key))
        each = each->next;
    return each;
}

const json *json_at(const json *array, int index)
{
    const json *each = array && array->type == JSON_ARRAY ? array->first : NULL;
    while (each && index-- > 0)
        each = each->next;
    return each;
}

int json_size(const json *array)
{
    int size = 0;
    while (json_at(array, size))
        ++size;
    return size;
}

double json_number(const json *object, const char *key, double otherwise)
{
    const json *found = json_get(object, key);
    return found && found->type <= JSON_NUMBER && found->type != JSON_NULL ? found->number : otherwise;
}

const char *json_string(const json *object, const char *key, const char *otherwise)
{
    const json *found = json_get(object, key);
    return found && found->type == JSON_STRING ? found->string : otherwise;
}

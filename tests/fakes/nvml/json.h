/* As much of JSON as the fake's state file needs: a tree of values, read once per change. */
#ifndef FAKE_JSON_H
#define FAKE_JSON_H

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_type;

typedef struct json {
    json_type type;
    double number;      /* also 0 or 1 of a bool */
    char *string;
    char *key;          /* of a member of an object */
    struct json *first; /* of an array or object */
    struct json *next;
} json;

json *json_parse(const char *text); /* NULL when it is no JSON */
void json_free(json *value);
const json *json_get(const json *object, const char *key);
const json *json_at(const json *array, int index);
int json_size(const json *array);
double json_number(const json *object, const char *key, double otherwise);
const char *json_string(const json *object, const char *key, const char *otherwise);

#endif

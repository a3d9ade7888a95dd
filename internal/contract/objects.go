package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// Response is what GitHub describes that one operation answers.
type Response struct {
	rest   *REST
	schema *openapi3.Schema
	plain  map[string]any // the same undigested
	media  map[string]any // what holds it
	list   bool
}

// Response finds the description of an answer; the object in it when the answer
// is a list. Operation is "GET /repos/{owner}/{repo}/issues".
func (r *REST) Response(operation string, status int) (*Response, error) {
	method, template, _ := strings.Cut(operation, " ")
	if r.paths[template] == nil {
		return nil, fmt.Errorf("GitHub describes no %s", operation)
	}
	item, err := r.path(template)
	if err != nil {
		return nil, err
	}
	op := item.item.GetOperation(method)
	if op == nil || op.Responses.Status(status) == nil {
		return nil, fmt.Errorf("GitHub describes no %d of %s", status, operation)
	}
	raw, _ := item.raw[strings.ToLower(method)].(map[string]any)
	responses, _ := raw["responses"].(map[string]any)
	content, _ := r.resolve(responses[strconv.Itoa(status)])["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	typed := op.Responses.Status(status).Value.Content.Get("application/json")
	if media == nil || typed == nil {
		return nil, fmt.Errorf("the %d of %s has no JSON", status, operation)
	}
	out := &Response{rest: r, schema: typed.Schema.Value, plain: r.resolve(media["schema"]), media: media}
	if items := out.plain["items"]; items != nil {
		out.list, out.schema, out.plain = true, out.schema.Items.Value, r.resolve(items)
	}
	return out, nil
}

// Examples are the objects that GitHub documents for the answer.
func (a *Response) Examples() ([]json.RawMessage, error) {
	examples, _ := a.media["examples"].(map[string]any)
	var all []json.RawMessage
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		value := a.rest.resolve(examples[name])["value"]
		if o, ok := value.(map[string]any); ok && o["$ref"] != nil {
			value = a.rest.resolve(o)["value"] // a reference in place of a value
		}
		values := []any{value}
		if items, ok := values[0].([]any); ok && a.list {
			values = items
		}
		for _, v := range values {
			raw, err := json.Marshal(v)
			if err != nil {
				return nil, fmt.Errorf("writing the example %s: %w", name, err)
			}
			all = append(all, raw)
		}
	}
	return all, nil
}

// Check tells how an object differs from the schema.
func (a *Response) Check(object any) error {
	return a.schema.VisitJSON(object, openapi3.VisitAsResponse(), openapi3.MultiErrors())
}

// Generate makes an object that the schema admits: members that are not required
// are sometimes missing, what may be null sometimes is. Special may choose the
// value at a path such as ".user.id" or ".labels[].name".
func (a *Response) Generate(random *rand.Rand, special func(path string) (any, bool)) any {
	g := generator{a.rest.description, random, special}
	v, _ := g.value(a.plain, "", 0)
	return v
}

type generator struct {
	d       *description
	random  *rand.Rand
	special func(string) (any, bool)
}

// Generated strings: what Postgres, JSON or the wire may stumble over.
var words = []string{
	"", "plain", "  spaces  ", "quote ' \" \\ end", "tab\tline\nreturn\r", "NUL \x00 inside", "emoji 😀👩‍🚀 e\u0301", "NULL", "{a,b}", `\u0000 \N`,
	"\u2028\ufeff\ufffd", "اردو עברית", "<script>&amp;",
}

// longest is the length of the longest body that GitHub takes, in characters.
const longest = 65_536

// most levels of objects are made; below, what may be missing is.
const deepest = 6

func (g generator) value(schema any, path string, depth int) (v any, ok bool) {
	s := g.d.resolve(schema)
	if s["nullable"] == true && g.random.IntN(5) == 0 {
		return nil, true
	}
	if enum := list(s["enum"]); len(enum) > 0 {
		return enum[g.random.IntN(len(enum))], true
	}
	if options := append(list(s["oneOf"]), list(s["anyOf"])...); len(options) > 0 && s["properties"] == nil {
		if g.random.IntN(6) == 0 && s["discriminator"] == nil {
			return g.value(options[g.random.IntN(len(options))], path, depth)
		}
		// Mostly the richest one: the others are former forms, mostly plain strings.
		best := options[0]
		for _, o := range options {
			if len(properties(g.d.resolve(o))) > len(properties(g.d.resolve(best))) {
				best = o
			}
		}
		return g.value(best, path, depth)
	}
	if parts := list(s["allOf"]); len(parts) > 0 {
		merged := map[string]any{}
		for _, p := range append([]any{map[string]any{"properties": s["properties"], "required": s["required"], "type": "object"}}, parts...) {
			if o, ok := g.object(g.d.resolve(p), path, depth).(map[string]any); ok {
				maps.Copy(merged, o)
			}
		}
		return merged, true
	}
	switch s["type"] {
	case "object":
		return g.object(s, path, depth), true
	case "array":
		items := []any{}
		for range g.random.IntN(4) {
			if item, ok := g.value(s["items"], path+"[]", depth+1); ok {
				items = append(items, item)
			}
		}
		return items, true
	case "integer":
		// Beyond 32 bits, and within what JSON's numbers hold exactly.
		return 1<<32 + g.random.Int64N(1<<52), true
	case "number":
		return float64(g.random.IntN(1_000_000)) / 8, true
	case "boolean":
		return g.random.IntN(2) == 0, true
	case "string":
		return g.text(s), true
	}
	if properties(s) != nil {
		return g.object(s, path, depth), true
	}
	return nil, false // anything goes, so nothing is there
}

func properties(s map[string]any) map[string]any {
	p, _ := s["properties"].(map[string]any)
	return p
}

func (g generator) object(s map[string]any, path string, depth int) any {
	required := list(s["required"])
	o := map[string]any{}
	all := properties(s)
	for _, name := range slices.Sorted(maps.Keys(all)) { // in order: one seed, one object
		if v, ok := g.special(path + "." + name); ok {
			o[name] = v
			continue
		}
		must := slices.Contains(required, any(name))
		if !must && (depth >= deepest || g.random.IntN(4) == 0) {
			continue
		}
		if v, ok := g.value(all[name], path+"."+name, depth+1); ok {
			o[name] = v
		}
	}
	return o
}

func (g generator) text(s map[string]any) string {
	switch s["format"] {
	case "date-time":
		return time.Unix(g.random.Int64N(1<<32), 0).UTC().Format(time.RFC3339)
	case "date":
		return time.Unix(g.random.Int64N(1<<32), 0).UTC().Format(time.DateOnly)
	case "uri", "uri-template":
		return "https://github.example/" + strconv.FormatUint(g.random.Uint64(), 36) + "/😀?q=%00"
	case "email":
		return "someone@github.example"
	}
	if g.random.IntN(400) == 0 {
		return strings.Repeat("€", longest)
	}
	return words[g.random.IntN(len(words))] + words[g.random.IntN(len(words))]
}

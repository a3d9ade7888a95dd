package contract

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// description is one published document, taken apart as far as it is needed:
// GitHub's REST description has 13 MB, and a test meets about thirty of its
// 1,200 operations. It is safe for concurrent use.
type description struct {
	version    string                                // of OpenAPI
	paths      map[string]json.RawMessage            // by template
	webhooks   map[string]json.RawMessage            // by event and action
	components map[string]map[string]json.RawMessage // by kind and name

	mu       sync.Mutex
	resolved map[string]any // decoded components by reference
}

func parseDescription(content []byte) (*description, error) {
	var doc struct {
		OpenAPI    string                                `json:"openapi"`
		Paths      map[string]json.RawMessage            `json:"paths"`
		Webhooks   map[string]json.RawMessage            `json:"webhooks"`
		Components map[string]map[string]json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("reading an OpenAPI description: %w", err)
	}
	return &description{
		version: doc.OpenAPI, paths: doc.Paths, webhooks: doc.Webhooks, components: doc.Components,
		resolved: map[string]any{},
	}, nil
}

// reference finds what a document refers to; GitHub's have components only.
var reference = regexp.MustCompile(`"\$ref":\s*"#/components/([a-z]+)/([^"/]+)"`)

// subset is the document that holds the given members and the components they
// need, however indirectly.
func (d *description) subset(members map[string]any, roots ...json.RawMessage) ([]byte, error) {
	needed := map[string]map[string]json.RawMessage{}
	for len(roots) > 0 {
		next := roots[len(roots)-1]
		roots = roots[:len(roots)-1]
		for _, m := range reference.FindAllSubmatch(next, -1) {
			kind, name := string(m[1]), string(m[2])
			if needed[kind] == nil {
				needed[kind] = map[string]json.RawMessage{}
			}
			if _, have := needed[kind][name]; have {
				continue
			}
			raw, ok := d.components[kind][name]
			if !ok {
				return nil, fmt.Errorf("the description refers to %s/%s, which it does not hold", kind, name)
			}
			needed[kind][name] = raw
			roots = append(roots, raw)
		}
	}
	doc := map[string]any{
		"openapi": d.version, "info": map[string]string{"title": "GitHub", "version": "0"}, "components": needed,
	}
	for k, v := range members {
		doc[k] = v
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("writing a part of a description: %w", err)
	}
	return out, nil
}

// resolve follows references until it has an object.
func (d *description) resolve(node any) map[string]any {
	for range 20 {
		o, _ := node.(map[string]any)
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		node = d.component(ref)
	}
	return nil
}

func (d *description) component(ref string) any {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.resolved[ref]; ok {
		return v
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
	var v any
	if err := json.Unmarshal(d.components[kind][name], &v); err != nil {
		v = nil // a reference to nothing describes nothing
	}
	d.resolved[ref] = v
	return v
}

// undescribed lists the members of value that its schema does not name, as
// paths such as ".user.gravatar" or "[].labels[].x". GitHub's schemas allow
// more members than they name, so that a validator never asks.
func (d *description) undescribed(schema, value any) []string {
	var found []string
	d.walk(schema, value, "", &found)
	slices.Sort(found)
	return slices.Compact(found)
}

func (d *description) walk(schema, value any, at string, found *[]string) {
	s := d.resolve(schema)
	members := map[string]any{}
	if p, ok := s["properties"].(map[string]any); ok {
		for k, v := range p {
			members[k] = v
		}
	}
	for _, part := range list(s["allOf"]) {
		if p, ok := d.resolve(part)["properties"].(map[string]any); ok {
			for k, v := range p {
				members[k] = v
			}
		}
	}
	// Of alternatives, the one that explains most.
	var best []string
	have := false
	for _, alternative := range append(list(s["oneOf"]), list(s["anyOf"])...) {
		if !fits(d.resolve(alternative), value) {
			continue
		}
		var of []string
		d.walk(alternative, value, at, &of)
		if !have || len(of) < len(best) {
			best, have = of, true
		}
	}
	if have && len(members) == 0 {
		*found = append(*found, best...)
		return
	}
	switch v := value.(type) {
	case map[string]any:
		extra := s["additionalProperties"]
		for k, x := range v {
			sub, named := members[k]
			switch {
			case named:
				d.walk(sub, x, at+"."+k, found)
			case extra != nil && extra != false:
				d.walk(extra, x, at+".*", found)
			case len(members) > 0:
				*found = append(*found, at+"."+k)
			}
		}
	case []any:
		for _, x := range v {
			d.walk(s["items"], x, at+"[]", found)
		}
	}
}

// fits tells whether a schema's type admits a value, as far as it says.
func fits(schema map[string]any, value any) bool {
	var name string
	switch value.(type) {
	case map[string]any:
		name = "object"
	case []any:
		name = "array"
	default:
		return true
	}
	switch t := schema["type"].(type) {
	case string:
		return t == name
	case []any:
		return slices.Contains(t, any(name))
	}
	return true
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

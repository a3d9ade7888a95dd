package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Webhooks is GitHub's description of its webhook events. It is OpenAPI 3.1,
// whose schemas are JSON Schema as it is. It is safe for concurrent use.
type Webhooks struct {
	*description
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	events   map[string]*webhookEvent
}

// webhookEvent is one event, ready to validate.
type webhookEvent struct {
	body    *jsonschema.Schema
	plain   any      // the same undigested
	headers []string // those that a delivery must have
}

const webhooksURL = "contract:webhooks.json"

// LoadWebhooks reads the description; ErrNotFetched when it is not there. The
// process keeps one.
var LoadWebhooks = sync.OnceValues(func() (*Webhooks, error) {
	content, err := WebhooksFile.Read()
	if err != nil {
		return nil, err
	}
	d, err := parseDescription(content)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("reading the description of webhooks: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	// The library's own check does not know {/name}, of which GitHub's templates
	// are made.
	c.RegisterFormat(&jsonschema.Format{Name: "uri-template", Validate: template})
	if err := c.AddResource(webhooksURL, doc); err != nil {
		return nil, fmt.Errorf("reading the description of webhooks: %w", err)
	}
	return &Webhooks{description: d, compiler: c, events: map[string]*webhookEvent{}}, nil
})

// template checks a URI template of the forms that GitHub uses.
// https://www.rfc-editor.org/rfc/rfc6570#section-2.3
func template(v any) error {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	plain := templateExpression.ReplaceAllString(s, "")
	if strings.ContainsAny(plain, "{} ") || !strings.Contains(plain, "://") {
		return fmt.Errorf("%q is no URI template", s)
	}
	return nil
}

var templateExpression = regexp.MustCompile(`\{[/?&+#]?[A-Za-z_]+(,[A-Za-z_]+)*\}`)

// Names are the events described, such as "issues-opened".
func (w *Webhooks) Names() []string {
	names := make([]string, 0, len(w.webhooks))
	for name := range w.webhooks {
		names = append(names, name)
	}
	return names
}

// name is how the description calls an event.
func (w *Webhooks) name(event, action string) string {
	name := strings.ReplaceAll(event, "_", "-")
	if action != "" {
		name += "-" + strings.ReplaceAll(action, "_", "-")
	}
	return name
}

// Check compares a delivery with the description. Nil headers are not compared.
func (w *Webhooks) Check(event string, header http.Header, payload []byte) (faults []Fault, err error) {
	var with struct {
		Action string `json:"action"`
	}
	if err := json.Unmarshal(payload, &with); err != nil {
		return []Fault{{Kind: BadEvent, Operation: event, Subject: "/", Detail: "is not JSON: " + err.Error()}}, nil
	}
	name := w.name(event, with.Action)
	add := func(k Kind, subject, detail string) {
		faults = append(faults, Fault{Kind: k, Operation: name, Subject: subject, Detail: detail})
	}
	e, err := w.event(name)
	if err != nil {
		return nil, err
	}
	if e == nil {
		add(BadEvent, "event", "GitHub describes no such event")
		return faults, nil
	}
	met.mu.Lock()
	met.events[name]++
	met.mu.Unlock()
	if header != nil {
		for _, h := range e.headers {
			if header.Get(h) == "" {
				add(BadEvent, "header "+h, "is missing")
			}
		}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("reading a payload of %s: %w", name, err)
	}
	if ve, ok := errors.AsType[*jsonschema.ValidationError](e.body.Validate(value)); ok {
		for _, leaf := range leaves(ve) {
			add(BadEvent, "/"+strings.Join(leaf.InstanceLocation, "/"), excerpt([]byte(strings.ReplaceAll(leaf.Error(), "\n", " "))))
		}
	}
	for _, at := range w.undescribed(e.plain, value) {
		add(UnknownField, at, "GitHub's description does not name it")
	}
	return faults, nil
}

// leaves are the innermost differences. Where several schemas are allowed, each
// has its own.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// event prepares one event, once; nil when it is not described.
func (w *Webhooks) event(name string) (*webhookEvent, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := w.events[name]; ok {
		return e, nil
	}
	raw, ok := w.webhooks[name]
	if !ok {
		return nil, nil
	}
	var item struct {
		Post struct {
			Parameters []struct {
				Name, In string
			}
			RequestBody struct {
				Content map[string]struct{ Schema any }
			} `json:"requestBody"`
		}
	}
	if err := json.Unmarshal(raw, &item); err != nil {
		return nil, fmt.Errorf("reading the description of %s: %w", name, err)
	}
	schema, err := w.compiler.Compile(webhooksURL + "#/webhooks/" + name + "/post/requestBody/content/application~1json/schema")
	if err != nil {
		return nil, fmt.Errorf("reading the description of %s: %w", name, err)
	}
	e := &webhookEvent{body: schema, plain: item.Post.RequestBody.Content["application/json"].Schema}
	for _, p := range item.Post.Parameters {
		if p.In == "header" {
			e.headers = append(e.headers, p.Name)
		}
	}
	w.events[name] = e
	return e, nil
}

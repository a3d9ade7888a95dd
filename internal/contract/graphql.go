package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// GraphQL is GitHub's GraphQL schema. It is safe for concurrent use.
type GraphQL struct{ schema *ast.Schema }

// LoadGraphQL reads the schema; ErrNotFetched when it is not there. The process
// keeps one.
var LoadGraphQL = sync.OnceValues(func() (*GraphQL, error) {
	content, err := GraphQLFile.Read()
	if err != nil {
		return nil, err
	}
	doc, err := parser.ParseSchemas(validator.Prelude, &ast.Source{Name: GraphQLFile.Name, Input: string(content)})
	if err != nil {
		return nil, fmt.Errorf("reading GitHub's GraphQL schema: %w", err)
	}
	dropRepeated(doc)
	schema, err := validator.ValidateSchemaDocument(doc)
	if err != nil {
		return nil, fmt.Errorf("reading GitHub's GraphQL schema: %w", err)
	}
	return &GraphQL{schema}, nil
})

// dropRepeated takes out fields that a type defines twice with the same type,
// which the published schema has and no schema may.
func dropRepeated(doc *ast.SchemaDocument) {
	for _, def := range doc.Definitions {
		types := map[string]string{}
		def.Fields = slices.DeleteFunc(def.Fields, func(f *ast.FieldDefinition) bool {
			before, again := types[f.Name]
			types[f.Name] = f.Type.String()
			return again && before == f.Type.String()
		})
	}
}

// Check compares a document and its variables with the schema, and the answer
// with the types of what the document selects.
func (g *GraphQL) Check(x Exchange) []Fault {
	c := &graphChecking{schema: g.schema}
	var sent struct {
		Query         string         `json:"query"`
		Variables     map[string]any `json:"variables"`
		OperationName string         `json:"operationName"`
	}
	if err := json.Unmarshal(x.Body, &sent); err != nil {
		c.add(BadDocument, "body", "is not JSON: %v", err)
		return c.faults
	}
	doc, errs := gqlparser.LoadQueryWithRules(g.schema, sent.Query, nil)
	for _, e := range errs {
		c.add(BadDocument, e.Rule, "%s", e.Message)
	}
	if len(errs) > 0 && x.Answer != nil && x.Answer.Status == 200 {
		var got struct{ Errors []graphError }
		if json.Unmarshal(x.Answer.Body, &got) == nil && len(got.Errors) == 0 {
			c.add(BadData, "document", "GitHub refuses it (%s), the answer does not: %s", errs[0].Message, excerpt(x.Answer.Body))
		}
	}
	if len(errs) == 0 {
		op := doc.Operations.ForName(sent.OperationName)
		if op == nil {
			c.add(BadDocument, "operationName", "names no operation of the document")
			return c.faults
		}
		if _, err := validator.VariableValues(g.schema, op, sent.Variables); err != nil {
			c.add(BadDocument, "variables", "%v", err)
		}
		if x.Answer != nil {
			c.answer(op, x.Answer)
		}
	}
	return c.faults
}

// graphChecking is one document being compared.
type graphChecking struct {
	schema *ast.Schema
	faults []Fault
}

func (c *graphChecking) add(k Kind, subject, detail string, args ...any) {
	c.faults = append(c.faults, Fault{Kind: k, Operation: "POST /graphql", Subject: subject, Detail: fmt.Sprintf(detail, args...)})
}

// graphError is an entry of "errors" as GitHub sends it.
type graphError struct {
	Type    *string           `json:"type"`
	Path    []json.RawMessage `json:"path"`
	Message *string           `json:"message"`
}

func (c *graphChecking) answer(op *ast.OperationDefinition, a *Answer) {
	if a.Status != 200 {
		return // a refusal of the REST layer, which the table tells of
	}
	var got struct {
		Data   json.RawMessage `json:"data"`
		Errors []graphError    `json:"errors"`
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		c.add(BadData, "body", "is not an answer: %v: %s", err, excerpt(a.Body))
		return
	}
	if got.Data == nil && len(got.Errors) == 0 {
		c.add(BadData, "body", "has neither data nor errors: %s", excerpt(a.Body))
		return
	}
	nulled := map[string]bool{}
	for _, e := range got.Errors {
		if e.Message == nil || *e.Message == "" {
			c.add(BadData, "errors", "an error without a message: %s", excerpt(a.Body))
		}
		var at []string
		for _, step := range e.Path {
			at = append(at, strings.Trim(string(step), `"`))
		}
		nulled[strings.Join(at, ".")] = true
	}
	if len(got.Data) == 0 || string(got.Data) == "null" {
		if len(got.Errors) == 0 {
			c.add(BadData, "data", "is null without an error")
		}
		return
	}
	var data map[string]any
	if err := json.Unmarshal(got.Data, &data); err != nil {
		c.add(BadData, "data", "is no object: %s", excerpt(got.Data))
		return
	}
	root := c.schema.Query
	if op.Operation == ast.Mutation {
		root = c.schema.Mutation
	}
	c.object(root, op.SelectionSet, data, "", nulled)
}

// object compares an answered object with what was selected of it.
func (c *graphChecking) object(def *ast.Definition, set ast.SelectionSet, value map[string]any, at string, nulled map[string]bool) {
	fields := map[string]*ast.Field{}
	c.collect(def, set, value, fields)
	for key, f := range fields {
		got, ok := value[key]
		path := strings.TrimPrefix(at+"."+key, ".")
		if !ok {
			c.add(BadData, path, "was selected and is missing")
			continue
		}
		if f.Name == "__typename" {
			continue
		}
		if f.Definition == nil {
			continue // introspection
		}
		c.value(f.Definition.Type, f.SelectionSet, got, path, nulled)
	}
	for key := range value {
		if fields[key] == nil {
			c.add(BadData, strings.TrimPrefix(at+"."+key, "."), "was not selected")
		}
	}
}

// collect finds the fields that apply to the object. A fragment on another type
// applies when the answer's __typename says so, or when the object has all of
// the fragment's fields.
func (c *graphChecking) collect(def *ast.Definition, set ast.SelectionSet, value map[string]any, into map[string]*ast.Field) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			into[s.Alias] = s
		case *ast.InlineFragment:
			if c.applies(def, s.TypeCondition, s.SelectionSet, value) {
				c.collect(def, s.SelectionSet, value, into)
			}
		case *ast.FragmentSpread:
			if c.applies(def, s.Definition.TypeCondition, s.Definition.SelectionSet, value) {
				c.collect(def, s.Definition.SelectionSet, value, into)
			}
		}
	}
}

func (c *graphChecking) applies(def *ast.Definition, condition string, set ast.SelectionSet, value map[string]any) bool {
	if condition == "" || condition == def.Name {
		return true
	}
	if name, ok := value["__typename"].(string); ok {
		if name == condition {
			return true
		}
		for _, possible := range c.schema.GetPossibleTypes(c.schema.Types[condition]) {
			if possible.Name == name {
				return true
			}
		}
		return false
	}
	for _, s := range set {
		if f, ok := s.(*ast.Field); ok {
			if _, have := value[f.Alias]; !have {
				return false
			}
		}
	}
	return true
}

func (c *graphChecking) value(t *ast.Type, set ast.SelectionSet, got any, at string, nulled map[string]bool) {
	if got == nil {
		if t.NonNull && !nulled[at] {
			c.add(BadData, at, "is null, the schema says %s", t)
		}
		return
	}
	if t.Elem != nil {
		items, ok := got.([]any)
		if !ok {
			c.add(BadData, at, "is no list, the schema says %s", t)
			return
		}
		for k, item := range items {
			c.value(t.Elem, set, item, fmt.Sprintf("%s.%d", at, k), nulled)
		}
		return
	}
	def := c.schema.Types[t.NamedType]
	switch def.Kind {
	case ast.Object, ast.Interface, ast.Union:
		o, ok := got.(map[string]any)
		if !ok {
			c.add(BadData, at, "is no object, the schema says %s", t)
			return
		}
		c.object(def, set, o, at, nulled)
	case ast.Enum:
		if s, ok := got.(string); !ok || def.EnumValues.ForName(s) == nil {
			c.add(BadData, at, "is %v, not a value of %s", got, t)
		}
	case ast.Scalar:
		if err := scalar(def.Name, got); err != nil {
			c.add(BadData, at, "%v", err)
		}
	}
}

// scalar checks a value of one of the schema's scalars. Those of GitHub's own
// are strings, as their descriptions say.
func scalar(name string, got any) error {
	ok := false
	switch name {
	case "Int", "Float":
		var n float64
		n, ok = got.(float64)
		ok = ok && (name == "Float" || n == float64(int32(n)))
	case "Boolean":
		_, ok = got.(bool)
	default:
		_, ok = got.(string)
	}
	if !ok {
		return fmt.Errorf("is %v, which is no %s", got, name)
	}
	return nil
}

// ErrDocument is what Document wraps.
var ErrDocument = errors.New("not a document for GitHub's schema")

// Document validates a GraphQL document by itself.
func (g *GraphQL) Document(text string) error {
	_, errs := gqlparser.LoadQueryWithRules(g.schema, text, nil)
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrDocument, gqlerror.List(errs))
	}
	return nil
}

// Selections are the fields of a type that can be selected without arguments,
// one selection each: the name, with __typename below it for objects.
func (g *GraphQL) Selections(kind string) []string {
	def := g.schema.Types[kind]
	if def == nil {
		return nil
	}
	var all []string
	for _, f := range def.Fields {
		if strings.HasPrefix(f.Name, "__") || slices.ContainsFunc(f.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull && a.DefaultValue == nil }) {
			continue
		}
		switch g.schema.Types[f.Type.Name()].Kind {
		case ast.Scalar, ast.Enum:
			all = append(all, f.Name)
		default:
			all = append(all, f.Name+" { __typename }")
		}
	}
	return all
}

package githubsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Bounds of a GraphQL document.
const (
	maxGraphQLTokens = 15_000
	maxGraphQLDepth  = 50
)

// graphqlError is an entry of "errors". GitHub answers it with status 200.
type graphqlError struct {
	kind, message string
	path          []any
	extensions    map[string]any
	line, column  int
}

func (e *graphqlError) Error() string { return e.kind + ": " + e.message }

// gqlObject is a value with fields: what a resolver returns when the selection
// goes on below it. A field that does not exist answers errNoField.
type gqlObject interface {
	typeName() string
	field(c *call, name string, args map[string]any) (any, error)
}

// gqlAbstract is a value behind an interface: without a fragment that names its
// type only the interface's own fields can be selected.
type gqlAbstract struct {
	gqlObject
	name   string
	fields []string
}

var errNoField = errors.New("no such field")

// gqlRun executes one operation of a parsed document.
type gqlRun struct {
	c         *call
	doc       *ast.QueryDocument
	variables map[string]any
	errs      []*graphqlError
	depth     int // of selection sets; fragments may be circular
}

// graphql answers POST /graphql.
func (c *call) graphql() error {
	if c.user == nil {
		return &apiError{status: http.StatusUnauthorized, message: "This endpoint requires you to be authenticated."}
	}
	var in struct {
		Query         string         `json:"query"`
		Variables     map[string]any `json:"variables"`
		OperationName string         `json:"operationName"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return &apiError{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	if in.Query == "" {
		return &graphqlError{message: "A query attribute must be specified and must be a string."}
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: in.Query}, maxGraphQLTokens)
	if err != nil {
		return &graphqlError{kind: "", message: "Parse error: " + err.Error()}
	}
	if len(doc.Operations) == 0 {
		return &graphqlError{message: "The document does not contain an operation."}
	}
	op := doc.Operations.ForName(in.OperationName)
	if op == nil {
		return &graphqlError{message: "An operation name is required"}
	}
	run := &gqlRun{c: c, doc: doc, variables: map[string]any{}}
	for _, def := range op.VariableDefinitions {
		v, given := in.Variables[def.Variable]
		if !given && def.DefaultValue != nil {
			if v, err = def.DefaultValue.Value(nil); err != nil {
				return &graphqlError{message: "Parse error: " + err.Error()}
			}
		}
		if v == nil && def.Type.NonNull {
			return &graphqlError{message: fmt.Sprintf("Variable $%s of type %s was provided invalid value", def.Variable, def.Type)}
		}
		run.variables[def.Variable] = v
	}
	var root gqlObject = gqlQuery{}
	if op.Operation == ast.Mutation {
		root = gqlMutation{}
	} else if op.Operation != ast.Query {
		return &graphqlError{message: "Subscriptions are not supported"}
	}
	data, err := run.object(root, op.SelectionSet, nil)
	if err != nil {
		return err
	}
	return c.graphqlAnswer(data, run.errs)
}

// object runs a selection set. The error is one that stops the whole document,
// as a field that does not exist does.
func (g *gqlRun) object(o gqlObject, set ast.SelectionSet, path []any) (map[string]any, error) {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > maxGraphQLDepth {
		return nil, &graphqlError{kind: "MAX_NODE_LIMIT_EXCEEDED", message: "Query is too deep"}
	}
	out := map[string]any{}
	selected := o
	abstract, isAbstract := o.(gqlAbstract)
	if isAbstract {
		o = abstract.gqlObject // what fragments apply to
	}
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			if isAbstract && sel.Name != "__typename" && !slices.Contains(abstract.fields, sel.Name) {
				return nil, undefinedField(sel, abstract.name, append(path, sel.Alias))
			}
			v, err := g.fieldValue(o, sel, append(path[:len(path):len(path)], sel.Alias))
			if err != nil {
				return nil, err
			}
			out[sel.Alias] = v
		case *ast.InlineFragment:
			if sel.TypeCondition == "" {
				if err := g.merge(out, selected, sel.SelectionSet, path); err != nil {
					return nil, err
				}
			} else if fits(o, sel.TypeCondition) {
				if err := g.merge(out, o, sel.SelectionSet, path); err != nil {
					return nil, err
				}
			}
		case *ast.FragmentSpread:
			f := g.doc.Fragments.ForName(sel.Name)
			if f == nil {
				return nil, &graphqlError{message: "Fragment " + sel.Name + " was used, but not defined", path: path}
			}
			if fits(o, f.TypeCondition) {
				if err := g.merge(out, o, f.SelectionSet, path); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

func (g *gqlRun) merge(out map[string]any, o gqlObject, set ast.SelectionSet, path []any) error {
	more, err := g.object(o, set, path)
	for k, v := range more {
		out[k] = v
	}
	return err
}

// fits tells whether a fragment on the named type applies. The interfaces are
// those that the simulated objects implement.
func fits(o gqlObject, name string) bool {
	switch name {
	case o.typeName():
		return true
	case "Node":
		return o.typeName() != "DeleteIssuePayload" && o.typeName() != "RateLimit"
	case "Actor":
		return o.typeName() == "User" || o.typeName() == "Bot" || o.typeName() == "Organization"
	case "RepositoryOwner":
		return o.typeName() == "User" || o.typeName() == "Organization"
	}
	return false
}

func (g *gqlRun) fieldValue(o gqlObject, f *ast.Field, path []any) (any, error) {
	if f.Name == "__typename" {
		return o.typeName(), nil
	}
	args := map[string]any{}
	for _, a := range f.Arguments {
		v, err := a.Value.Value(g.variables)
		if err != nil {
			return nil, &graphqlError{message: "Parse error: " + err.Error(), path: path}
		}
		args[a.Name] = v
	}
	v, err := o.field(g.c, f.Name, args)
	var ge *graphqlError
	switch {
	case errors.Is(err, errNoField):
		return nil, undefinedField(f, o.typeName(), path)
	case errors.As(err, &ge):
		ge.path = path
		ge.at(f.Position)
		if ge.extensions != nil { // arguments that do not fit stop the document
			return nil, ge
		}
		g.errs = append(g.errs, ge)
		return nil, nil
	case err != nil:
		return nil, err
	}
	sub, ok := v.(gqlObject)
	if ok == (len(f.SelectionSet) > 0) || v == nil {
		if !ok {
			return v, nil
		}
		return g.object(sub, f.SelectionSet, path)
	}
	e := &graphqlError{
		message:    fmt.Sprintf("Selections can't be made on scalars (field '%s')", f.Name),
		path:       path,
		extensions: map[string]any{"code": "selectionMismatch", "nodeName": "field '" + f.Name + "'"},
	}
	if ok {
		e.message = fmt.Sprintf("Field must have selections (field '%s' returns %s but has no selections. Did you mean '%s { ... }'?)", f.Name, sub.typeName(), f.Name)
	}
	e.at(f.Position)
	return nil, e
}

func undefinedField(f *ast.Field, typeName string, path []any) error {
	e := &graphqlError{
		message:    fmt.Sprintf("Field '%s' doesn't exist on type '%s'", f.Name, typeName),
		path:       path,
		extensions: map[string]any{"code": "undefinedField", "typeName": typeName, "fieldName": f.Name},
	}
	e.at(f.Position)
	return e
}

func (e *graphqlError) at(p *ast.Position) {
	if p != nil {
		e.line, e.column = p.Line, p.Column
	}
}

// graphqlAnswer writes data and errors; GitHub leaves "errors" out when there
// are none, and "data" when the document could not be run.
func (c *call) graphqlAnswer(data map[string]any, errs []*graphqlError) error {
	out := map[string]any{}
	if data != nil {
		out["data"] = data
	}
	var list []map[string]any
	for _, e := range errs {
		entry := map[string]any{"message": e.message}
		if e.kind != "" {
			entry["type"] = e.kind
		}
		if e.path != nil {
			entry["path"] = e.path
		}
		if e.extensions != nil {
			entry["extensions"] = e.extensions
		}
		if e.line > 0 {
			entry["locations"] = []map[string]int{{"line": e.line, "column": e.column}}
		}
		list = append(list, entry)
	}
	if list != nil {
		out["errors"] = list
	}
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encoding a GraphQL answer: %w", err)
	}
	c.json(http.StatusOK).b = b
	return nil
}

// idText renders a database id as GraphQL's BigInt, a string.
func idText(id int64) string { return strconv.FormatInt(id, 10) }

package githubsim

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a label's texts, in characters.
const (
	maxLabelName        = 50
	maxLabelDescription = 100
)

// defaultLabelColor is what GitHub gives a label that was created by naming it.
const defaultLabelColor = "ededed"

type label struct {
	id          int64
	name        string
	color       string
	description *string
	standard    bool // one of those that every new repository gets
}

// sortedLabels is a repository's labels in the order of its list: by name,
// without regard to case.
type sortedLabels []*label

func (l sortedLabels) find(name string) int {
	i, _ := slices.BinarySearchFunc(l, strings.ToLower(name), func(a *label, name string) int {
		return cmp.Compare(strings.ToLower(a.name), name)
	})
	return i
}

func (r *repository) putLabel(l *label) {
	r.labels[strings.ToLower(l.name)] = l
	r.labelOrder = slices.Insert(r.labelOrder, r.labelOrder.find(l.name), l)
}

func (r *repository) dropLabel(l *label) {
	delete(r.labels, strings.ToLower(l.name))
	r.labelOrder = slices.DeleteFunc(r.labelOrder, func(x *label) bool { return x == l })
}

func (r *repository) label(name string) *label { return r.labels[strings.ToLower(name)] }

func (e *enc) label(k string, r *repository, l *label) {
	if k == "" {
		e.open('{')
	} else {
		e.object(k)
	}
	e.num("id", l.id)
	e.str("node_id", nodeID("LA", r.id, l.id))
	e.apiURL("url", r.apiPath(), "/labels/", url.PathEscape(l.name))
	e.str("name", l.name)
	e.str("color", l.color)
	e.boolean("default", l.standard)
	e.strOrNull("description", l.description)
	e.close('}')
}

func (c *call) listLabels() error {
	e := c.json(http.StatusOK)
	e.open('[')
	for _, l := range countedPage(c, c.repo.labelOrder) {
		e.label("", c.repo, l)
	}
	e.close(']')
	return nil
}

func (c *call) pathLabel() (*label, error) {
	if l := c.repo.label(c.param("name")); l != nil {
		return l, nil
	}
	return nil, errNotFound()
}

func (c *call) getLabel() error {
	l, err := c.pathLabel()
	if err != nil {
		return err
	}
	c.json(http.StatusOK).label("", c.repo, l)
	return nil
}

func (c *call) createLabel() error {
	if err := c.needPush(); err != nil {
		return err
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	if !b.has("name") {
		return errSchema("\"name\" wasn't supplied.")
	}
	l := &label{color: defaultLabelColor}
	if err := c.fillLabel(l, b, "name"); err != nil {
		return err
	}
	l.id = c.st.labelIDs.next()
	c.repo.putLabel(l)
	c.emitLabel("created", c.repo, l, nil)
	e := c.json(http.StatusCreated)
	e.label("", c.repo, l)
	c.location(c.repo.apiPath(), "/labels/", url.PathEscape(l.name))
	return nil
}

func (c *call) updateLabel() error {
	l, err := c.pathLabel()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	b, err := c.object()
	if err != nil {
		return err
	}
	key := "new_name"
	if !b.has(key) {
		key = "name" // the form of the API's early previews, still taken
	}
	changed := *l
	if err := c.fillLabel(&changed, b, key); err != nil {
		return err
	}
	before := *l
	c.repo.dropLabel(l)
	*l = changed
	c.repo.putLabel(l)
	c.emitLabel("edited", c.repo, l, &before)
	c.json(http.StatusOK).label("", c.repo, l)
	return nil
}

// fillLabel checks a label's body and puts its values into l, whose id is 0 when
// it is new.
func (c *call) fillLabel(l *label, b object, nameKey string) error {
	if name, ok, err := b.text(nameKey); err != nil {
		return err
	} else if ok {
		if strings.TrimSpace(name) == "" {
			return errInvalid(fieldError{resource: "Label", code: "missing_field", field: "name"})
		}
		if utf8.RuneCountInString(name) > maxLabelName {
			return errInvalid(fieldError{resource: "Label", code: "custom", field: "name", message: "name is too long (maximum is 50 characters)"})
		}
		if other := c.repo.label(name); other != nil && other.id != l.id {
			return errInvalid(fieldError{resource: "Label", code: "already_exists", field: "name"})
		}
		l.name = name
	}
	if color, ok, err := b.text("color"); err != nil {
		return err
	} else if ok {
		if !labelColor.MatchString(color) {
			return errInvalid(fieldError{resource: "Label", code: "invalid", field: "color"})
		}
		l.color = strings.ToLower(color)
	}
	if text, ok, err := b.nullableText("description"); err != nil {
		return err
	} else if ok {
		if text != nil && utf8.RuneCountInString(*text) > maxLabelDescription {
			return errInvalid(fieldError{resource: "Label", code: "custom", field: "description", message: "description is too long (maximum is 100 characters)"})
		}
		l.description = text
	}
	return nil
}

var labelColor = regexp.MustCompile(`^[0-9a-fA-F]{6}$`)

func (c *call) deleteLabel() error {
	l, err := c.pathLabel()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	c.removeLabel(c.repo, l)
	c.noContent()
	return nil
}

// removeLabel takes l off the repository and its issues, whose updated_at stays.
func (c *call) removeLabel(r *repository, l *label) {
	r.dropLabel(l)
	for _, i := range r.byCreated.rows {
		if k := slices.Index(i.labels, l); k >= 0 {
			i.labels = slices.Delete(slices.Clone(i.labels), k, k+1)
		}
	}
	c.emitLabel("deleted", r, l, nil)
}

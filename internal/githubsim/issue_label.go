package githubsim

import (
	"encoding/json"
	"net/http"
	"slices"
)

func (c *call) listIssueLabels() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	e := c.json(http.StatusOK)
	e.open('[')
	for _, l := range countedPage(c, i.labels) {
		e.label("", i.repo, l)
	}
	e.close(']')
	return nil
}

// labelBody reads the names of POST and PUT: {"labels": [...]}, a bare array, or
// a bare string.
func (c *call) labelBody() ([]string, error) {
	var v any
	if err := json.Unmarshal(c.body, &v); err != nil && len(c.body) > 0 {
		return nil, &apiError{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	var names []string
	var err error
	switch v := v.(type) {
	case string:
		names = []string{v}
	case []any:
		names, err = namesOf(c.body, "labels", "name")
	case nil:
		// Nothing to add, or nothing left to set.
	default:
		var b object
		if b, err = c.object(); err != nil {
			return nil, err
		}
		names, _, err = b.names("labels", "name")
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := checkLabelName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// changeIssueLabels answers POST (add), PUT (set) and DELETE (clear) of an
// issue's labels.
func (c *call) changeIssueLabels() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	names := []string{}
	if c.req.Method != http.MethodDelete {
		if names, err = c.labelBody(); err != nil {
			return err
		}
		if names == nil {
			names = []string{}
		}
	}
	if c.req.Method == http.MethodPost {
		for _, l := range i.labels {
			names = append(names, l.name)
		}
	}
	if len(names) > maxIssueLabels {
		return errInvalid(fieldError{resource: "Issue", code: "custom", field: "labels", message: "labels are limited to 100"})
	}
	c.editIssue(i, issuePatch{labels: names})
	if c.req.Method == http.MethodDelete {
		c.noContent()
		return nil
	}
	return c.answerLabels(i)
}

func (c *call) removeIssueLabel() error {
	i, err := c.pathIssue()
	if err != nil {
		return err
	}
	if err := c.needPush(); err != nil {
		return err
	}
	l := i.repo.label(c.param("name"))
	if l == nil || !slices.Contains(i.labels, l) {
		return &apiError{status: http.StatusNotFound, message: "Label does not exist"}
	}
	names := []string{}
	for _, other := range i.labels {
		if other != l {
			names = append(names, other.name)
		}
	}
	c.editIssue(i, issuePatch{labels: names})
	return c.answerLabels(i)
}

func (c *call) answerLabels(i *issue) error {
	e := c.json(http.StatusOK)
	e.open('[')
	for _, l := range i.labels {
		e.label("", i.repo, l)
	}
	e.close(']')
	return nil
}

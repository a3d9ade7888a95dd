package githubsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Bounds of an issue's parts; lengths in characters.
const (
	maxTitle          = 256
	maxBody           = 65_536
	maxIssueLabels    = 100
	maxIssueAssignees = 10
)

// issuePatch is what a create or an update asks for. A nil pointer or slice is
// a field that was not given; an empty slice clears.
type issuePatch struct {
	title     *string
	body      *string
	hasBody   bool
	state     string
	reason    string
	labels    []string
	assignees []string
	milestone *milestone
	hasMilest bool
	kind      *issueType
	hasKind   bool
}

// parseIssue reads and checks the body of a create or an update. What needs
// push access is dropped without a word for callers who lack it.
func (c *call) parseIssue(b object) (p issuePatch, err error) {
	if raw, ok := b["title"]; ok && !isNull(raw) {
		title, _, err := b.textOrNumber("title")
		if err != nil {
			return p, err
		}
		p.title = &title
	} else if ok && c.req.Method == http.MethodPost {
		return p, errInvalid(fieldError{resource: "Issue", code: "missing_field", field: "title"})
	}
	if p.body, p.hasBody, err = b.nullableText("body"); err != nil {
		return p, err
	}
	if p.state, _, err = b.text("state"); err != nil {
		return p, err
	}
	if reason, _, err := b.nullableText("state_reason"); err != nil {
		return p, err
	} else if reason != nil {
		p.reason = *reason
	}
	if err := p.checkTexts(); err != nil {
		return p, err
	}
	labels, _, err := b.names("labels", "name")
	if err != nil {
		return p, err
	}
	assignees, hasAssignees, err := b.names("assignees", "login")
	if err != nil {
		return p, err
	}
	if one, ok, err := b.nullableText("assignee"); err != nil {
		return p, err
	} else if ok && !hasAssignees {
		assignees = []string{}
		if one != nil {
			assignees = append(assignees, *one)
		}
	}
	if !c.canPush() {
		return p, nil
	}
	p.labels, p.assignees = labels, assignees
	return p, c.checkReferences(b, &p)
}

// checkTexts checks what can be said without looking anything up. The messages
// are those of GitHub's model validations.
func (p *issuePatch) checkTexts() error {
	var fields []fieldError
	if p.title != nil && strings.TrimSpace(*p.title) == "" {
		fields = append(fields, fieldError{resource: "Issue", code: "missing_field", field: "title"})
	}
	if p.title != nil && utf8.RuneCountInString(*p.title) > maxTitle {
		fields = append(fields, fieldError{
			resource: "Issue", code: "custom", field: "title",
			message: fmt.Sprintf("title is too long (maximum is %d characters)", maxTitle),
		})
	}
	if p.body != nil && utf8.RuneCountInString(*p.body) > maxBody {
		fields = append(fields, fieldError{
			resource: "Issue", code: "custom", field: "body",
			message: fmt.Sprintf("body is too long (maximum is %d characters)", maxBody),
		})
	}
	if fields != nil {
		return errInvalid(fields...)
	}
	if p.state != "" && p.state != "open" && p.state != "closed" {
		return errSchema("For 'properties/state', %s is not a member of [\"open\", \"closed\"].", p.state)
	}
	switch p.reason {
	case "", "completed", "not_planned", "duplicate", "reopened":
		return nil
	}
	return errSchema("For 'properties/state_reason', %s is not a member of [\"completed\", \"not_planned\", \"duplicate\", \"reopened\", nil].", p.reason)
}

// checkReferences checks what names other objects of the repository.
func (c *call) checkReferences(b object, p *issuePatch) error {
	if len(p.labels) > maxIssueLabels {
		return errInvalid(fieldError{resource: "Issue", code: "custom", field: "labels", message: "labels are limited to 100"})
	}
	for _, name := range p.labels {
		if err := checkLabelName(name); err != nil {
			return err
		}
	}
	for _, login := range p.assignees {
		if u := c.st.user(login); u == nil || !c.repo.assignable(u) {
			return errInvalid(fieldError{resource: "Issue", code: "invalid", field: "assignees", value: quoted(login)})
		}
	}
	if raw, ok := b["milestone"]; ok {
		p.hasMilest = true
		if !isNull(raw) {
			text, _, err := b.textOrNumber("milestone")
			if err != nil {
				return err
			}
			var n int64
			if err := json.Unmarshal([]byte(text), &n); err == nil {
				p.milestone = c.repo.milestone(n)
			}
			if p.milestone == nil {
				return errInvalid(fieldError{resource: "Issue", code: "invalid", field: "milestone", value: string(raw)})
			}
		}
	}
	if raw, ok := b["type"]; ok {
		p.hasKind = true
		name, err := typeName(raw)
		if err != nil {
			return err
		}
		if name != "" {
			if p.kind = c.repo.issueType(name); p.kind == nil {
				return errInvalid(fieldError{resource: "Issue", code: "invalid", field: "type", value: quoted(name)})
			}
		}
	}
	return nil
}

// typeName reads an issue type given as a name, as {"value": name} or as null.
func typeName(raw json.RawMessage) (string, error) {
	if isNull(raw) {
		return "", nil
	}
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name, nil
	}
	var wrapped struct{ Value *string }
	if json.Unmarshal(raw, &wrapped) == nil {
		if wrapped.Value == nil {
			return "", nil
		}
		return *wrapped.Value, nil
	}
	return "", errSchema("For 'properties/type', %s is not a string.", shown(raw))
}

func checkLabelName(name string) error {
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxLabelName {
		return errInvalid(fieldError{resource: "Label", code: "invalid", field: "name", value: quoted(name)})
	}
	return nil
}

package githubsim

import (
	"fmt"
	"math"
	"time"
)

// gqlQuery is the root of queries.
type gqlQuery struct{}

func (gqlQuery) typeName() string { return "Query" }

func (gqlQuery) field(c *call, name string, args map[string]any) (any, error) {
	switch name {
	case "viewer":
		return gqlUser{c.user}, nil
	case "rateLimit":
		return gqlRateLimit{c}, nil
	case "node":
		id, err := textArg(args, "Query", "node", "id")
		if err != nil {
			return nil, err
		}
		o, err := c.node(id)
		if err != nil {
			return nil, err
		}
		return gqlAbstract{o, "Node", []string{"id"}}, nil
	case "repository":
		owner, err := textArg(args, "Query", "repository", "owner")
		if err != nil {
			return nil, err
		}
		repo, err := textArg(args, "Query", "repository", "name")
		if err != nil {
			return nil, err
		}
		r, err := c.st.repository(owner + "/" + repo)
		if err != nil || !c.canRead(r) {
			return nil, &graphqlError{kind: "NOT_FOUND", message: fmt.Sprintf("Could not resolve to a Repository with the name '%s/%s'.", owner, repo)}
		}
		return gqlRepository{r}, nil
	}
	return nil, errNoField
}

// node finds what a global id names, as far as the caller can see it.
func (c *call) node(id string) (gqlObject, error) {
	prefix, n, err := parseNodeID(id)
	if err == nil {
		switch prefix {
		case "I", "PR":
			if i := c.st.issuesByID[n]; i != nil && i.nodeID() == id && c.canRead(i.repo) {
				return gqlIssue{i}, nil
			}
		case "R":
			if r := c.st.reposByID[n]; r != nil && c.canRead(r) {
				return gqlRepository{r}, nil
			}
		case "U", "BOT", "O":
			if u := c.st.usersByID[n]; u != nil {
				return gqlUser{u}, nil
			}
		}
	}
	return nil, &graphqlError{kind: "NOT_FOUND", message: fmt.Sprintf("Could not resolve to a node with the global id of '%s'", id)}
}

// textArg reads an argument that must be a string.
func textArg(args map[string]any, kind, of, name string) (string, error) {
	if v, ok := args[name].(string); ok {
		return v, nil
	}
	return "", missingArgument(kind, of, name)
}

func missingArgument(kind, of, name string) error {
	return &graphqlError{
		message:    fmt.Sprintf("%s '%s' is missing required arguments: %s", kind, of, name),
		extensions: map[string]any{"code": "missingRequiredArguments", "className": kind, "name": of, "arguments": name},
	}
}

type gqlRateLimit struct{ c *call }

func (gqlRateLimit) typeName() string { return "RateLimit" }

func (g gqlRateLimit) field(c *call, name string, _ map[string]any) (any, error) {
	l := c.s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.window(c.user, "graphql", c.now)
	switch name {
	case "cost", "nodeCount":
		return 1, nil
	case "limit":
		return w.limit, nil
	case "used":
		return w.used, nil
	case "remaining":
		return w.limit - w.used, nil
	case "resetAt":
		return gqlTime(w.reset), nil
	}
	return nil, errNoField
}

// int32OrNull is a database id in the old field databaseId, an Int: larger ones
// are null and only fullDatabaseId has them.
func int32OrNull(id int64) any {
	if id > math.MaxInt32 {
		return nil
	}
	return id
}

func gqlTime(unix int64) any {
	if unix == 0 {
		return nil
	}
	return time.Unix(unix, 0).UTC().Format(time.RFC3339)
}

type gqlUser struct{ *user }

func (u gqlUser) typeName() string { return u.kind }

func (u gqlUser) field(c *call, name string, _ map[string]any) (any, error) {
	switch name {
	case "id":
		return u.nodeID(), nil
	case "login":
		return u.login, nil
	case "databaseId":
		return int32OrNull(u.id), nil
	case "url":
		return c.web + u.webPath(), nil
	case "name":
		switch {
		case u.kind == "Bot":
			return nil, errNoField
		case u.name == "":
			return nil, nil
		}
		return u.name, nil
	}
	return nil, errNoField
}

type gqlRepository struct{ *repository }

func (gqlRepository) typeName() string { return "Repository" }

func (r gqlRepository) field(c *call, name string, args map[string]any) (any, error) {
	switch name {
	case "id":
		return r.nodeID(), nil
	case "databaseId":
		return int32OrNull(r.id), nil
	case "name":
		return r.name, nil
	case "nameWithOwner":
		return r.fullName(), nil
	case "isPrivate":
		return r.private, nil
	case "isArchived":
		return r.archived, nil
	case "hasIssuesEnabled":
		return r.hasIssues, nil
	case "url":
		return c.web + "/" + r.fullName(), nil
	case "owner":
		return gqlAbstract{gqlUser{r.owner}, "RepositoryOwner", []string{"id", "login", "url"}}, nil
	case "viewerPermission":
		return map[Permission]string{Admin: "ADMIN", Push: "WRITE", Read: "READ"}[r.permission(c.user)], nil
	case "issue":
		n, ok := number(args["number"])
		if !ok {
			return nil, missingArgument("Field", "issue", "number")
		}
		if n < 1 || n > int64(len(r.slots)) || r.slots[n-1].issue == nil || r.slots[n-1].issue.pull != nil {
			return nil, &graphqlError{kind: "NOT_FOUND", message: fmt.Sprintf("Could not resolve to an Issue with the number of %d.", n)}
		}
		return gqlIssue{r.slots[n-1].issue}, nil
	}
	return nil, errNoField
}

// number reads an integer, which is an int64 in a document and a float64 among
// the variables.
func number(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}

type gqlIssue struct{ *issue }

func (i gqlIssue) typeName() string {
	if i.pull != nil {
		return "PullRequest"
	}
	return "Issue"
}

func (i gqlIssue) field(c *call, name string, _ map[string]any) (any, error) {
	switch name {
	case "id":
		return i.nodeID(), nil
	case "fullDatabaseId":
		return idText(i.id), nil
	case "number":
		return i.number, nil
	case "title":
		return i.title, nil
	case "body":
		if i.body == nil {
			return "", nil
		}
		return *i.body, nil
	case "state":
		if i.pull != nil && i.pull.merged != 0 {
			return "MERGED", nil
		}
		return map[string]string{"open": "OPEN", "closed": "CLOSED"}[i.state], nil
	case "locked":
		return i.locked, nil
	case "url":
		return c.web + i.webPath(), nil
	case "createdAt":
		return gqlTime(i.created), nil
	case "updatedAt":
		return gqlTime(i.updated), nil
	case "closedAt":
		return gqlTime(i.closed), nil
	case "author":
		if i.user == nil {
			return nil, nil
		}
		return gqlAbstract{gqlUser{i.user}, "Actor", []string{"login", "url"}}, nil
	case "repository":
		return gqlRepository{i.repo}, nil
	case "viewerCanDelete":
		if i.pull != nil {
			return nil, errNoField
		}
		return i.repo.permission(c.user) == Admin, nil
	}
	return nil, errNoField
}

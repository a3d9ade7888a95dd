package githubsim

import "fmt"

// gqlMutation is the root of mutations.
type gqlMutation struct{}

func (gqlMutation) typeName() string { return "Mutation" }

func (gqlMutation) field(c *call, name string, args map[string]any) (any, error) {
	if name != "deleteIssue" {
		return nil, errNoField
	}
	input, ok := args["input"].(map[string]any)
	if !ok {
		return nil, missingArgument("Field", "deleteIssue", "input")
	}
	id, err := textArg(input, "InputObject", "DeleteIssueInput", "issueId")
	if err != nil {
		return nil, err
	}
	for k := range input {
		if k != "issueId" && k != "clientMutationId" {
			return nil, &graphqlError{
				message:    fmt.Sprintf("InputObject 'DeleteIssueInput' doesn't accept argument '%s'", k),
				extensions: map[string]any{"code": "argumentNotAccepted", "name": "DeleteIssueInput", "typeName": "InputObject", "argumentName": k},
			}
		}
	}
	o, err := c.node(id)
	if err != nil {
		return nil, err
	}
	i, ok := o.(gqlIssue)
	if !ok || i.pull != nil {
		return nil, &graphqlError{kind: "NOT_FOUND", message: fmt.Sprintf("Could not resolve to Issue node with the global id of '%s'.", id)}
	}
	if !c.token.allows("issues", "write") {
		return nil, &graphqlError{kind: "FORBIDDEN", message: "Resource not accessible by personal access token"}
	}
	if i.repo.permission(c.user) != Admin {
		return nil, &graphqlError{
			kind:    "FORBIDDEN",
			message: fmt.Sprintf("%s does not have the correct permissions to execute `DeleteIssue`", c.user.login),
		}
	}
	if i.repo.archived {
		return nil, &graphqlError{kind: "UNPROCESSABLE", message: "Repository was archived so is read-only."}
	}
	c.removeIssue(i.issue)
	return gqlDeleted{i.repo, input["clientMutationId"]}, nil
}

// removeIssue deletes an issue for good: its number answers 410 from then on.
func (c *call) removeIssue(i *issue) {
	c.st.dropIssue(i, slot{deleted: true})
	c.emitIssue("deleted", i, nil)
}

// gqlDeleted is DeleteIssuePayload.
type gqlDeleted struct {
	repo     *repository
	mutation any
}

func (gqlDeleted) typeName() string { return "DeleteIssuePayload" }

func (d gqlDeleted) field(_ *call, name string, _ map[string]any) (any, error) {
	switch name {
	case "clientMutationId":
		return d.mutation, nil
	case "repository":
		return gqlRepository{d.repo}, nil
	}
	return nil, errNoField
}

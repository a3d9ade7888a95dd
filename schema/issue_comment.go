package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// IssueComment describes the comments of issues and the conversation comments of pull requests: one endpoint lists
// both. A comment names what it belongs to by a URL only, so its issue_id is looked up while it is stored.
//
// Source: https://docs.github.com/rest/issues/comments
var IssueComment = newTable(Table{
	Name:    "issue_comment",
	Comment: "Comments of issues, and conversation comments of pull requests (their issue_id is null).",
	Version: "updated_at",
	Columns: []Column{
		integer("id", "REST id of the comment.").required(),
		text("node_id", "GraphQL id of the comment.").required(),
		repositoryID(),
		Column{Name: "issue_id", Type: typeInt, References: "issue.id", Owned: true,
			Comment: "Issue that the comment belongs to; null for a comment of a pull request, and until the issue itself is mirrored.",
			resolve: `(SELECT x.id FROM github.issue x WHERE x.repository_id = i.repository_id AND x.number = i.issue_number)`},
		integer("issue_number", "Number of the issue or pull request within the repository.").at("issue_url").required().from(issueNumber),
		integer("user_id", "Author; null when the account is gone.").at("user.id").refers("account"),
		text("body", "Text in Markdown."),
		text("body_text", "Text without markup; only where it was asked for."),
		text("body_html", "Text as HTML; only where it was asked for."),
		text("author_association", "What the author is to the repository: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, NONE, ..."),
		document("reactions", "Counts of the reactions."),
		integer("performed_via_github_app_id", "Id of the GitHub App that wrote the comment.").at("performed_via_github_app.id"),
		document("performed_via_github_app", "GitHub App that wrote the comment."),
		document("pin", "Who pinned the comment and when (pinned_at, pinned_by); null when it is not pinned."),
		document("minimized", "Why the comment is hidden (reason); null when it is not hidden."),
		instant("created_at", "When the comment was written.").required(),
		instant("updated_at", "When the comment last changed.").required(),
		text("url", "API URL of the comment."),
		text("html_url", "Web page of the comment."),
		text("issue_url", "API URL of the issue or pull request that the comment belongs to."),
	},
	referenced: func(o object, _ Scope) ([]Row, error) { return accounts(o, "user") },
})

// issueNumber reads the number at the end of issue_url.
func issueNumber(o object, _ Scope) (any, error) {
	v, err := o.value("issue_url", typeText)
	if err != nil || v == nil {
		return nil, err
	}
	url := v.(string)
	n, err := strconv.ParseInt(url[strings.LastIndexByte(url, '/')+1:], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("issue_url %q does not end in a number", url)
	}
	return n, nil
}

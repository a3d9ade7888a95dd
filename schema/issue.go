package schema

import (
	"errors"
	"fmt"
)

// ErrPullRequest is returned (wrapped) when an object of the issues endpoints is a pull request: those list both, and a
// pull request is not a row of table issue.
var ErrPullRequest = errors.New("the object is a pull request, not an issue")

// Issue describes issues. Its writable columns are those a client may set through the proxy; they alone have defaults.
//
// Source: https://docs.github.com/rest/issues/issues. Fields that newer versions of the API drop (assignee, since
// 2026-03-10) are derived from what stays.
var Issue = newTable(Table{
	Name:    "issue",
	Comment: "Issues of the repositories, without pull requests. Written through the proxy only; every write goes to GitHub first.",
	Version: "updated_at",
	Columns: []Column{
		integer("id", "REST id of the issue.").required(),
		text("node_id", "GraphQL id of the issue.").required(),
		repositoryID(),
		integer("number", "Number of the issue within its repository, shared with pull requests.").required(),
		text("title", "Title.").required().writable(""),
		text("body", "Text in Markdown, at most 65,536 characters.").writable(""),
		text("body_text", "Text without markup; only where it was asked for."),
		text("body_html", "Text as HTML; only where it was asked for."),
		text("state", "open or closed.").required().writable("'open'::text"),
		text("state_reason", "Why the issue has its state: completed, not_planned, duplicate, reopened; GitHub takes it only together with a change of state.").writable(""),
		integer("user_id", "Author; null when the account is gone.").at("user.id").refers("account"),
		texts("labels", "Names of the labels, as GitHub orders them; writing the array replaces the whole set.").required().writable("'{}'::text[]").from(names("labels", "name")),
		texts("assignees", "Logins of the assignees; writing the array replaces the whole set.").required().writable("'{}'::text[]").from(names("assignees", "login")),
		integer("assignee_id", "First of the assignees.").refers("account").at("assignees").from(firstAssignee),
		integer("milestone_id", "Milestone.").at("milestone.id").refers("milestone").writable(""),
		boolean("locked", "Whether the conversation is locked.").required().writable("false"),
		text("active_lock_reason", "Why the conversation is locked: off-topic, too heated, resolved, spam.").writable(""),
		integer("comments", "Number of comments, as GitHub counts."),
		text("type", "Name of the issue type.").at("type.name"),
		integer("type_id", "Id of the issue type.").at("type.id"),
		boolean("draft", "Whether it is a draft; GitHub documents the field for issues but sets it for pull requests only."),
		integer("closed_by_id", "Account that closed the issue; only some of GitHub's answers say so.").at("closed_by.id").refers("account"),
		text("author_association", "What the author is to the repository: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, NONE, ..."),
		document("reactions", "Counts of the reactions."),
		document("sub_issues_summary", "Counts of sub-issues: total, completed, percent_completed."),
		document("issue_dependencies_summary", "Counts of dependencies: blocked_by, blocking, total_blocked_by, total_blocking."),
		document("issue_field_values", "Values of the organisation's issue fields."),
		integer("pinned_comment_id", "Id of the pinned comment.").at("pinned_comment.id"),
		document("pinned_comment", "Pinned comment."),
		integer("performed_via_github_app_id", "Id of the GitHub App that made the issue.").at("performed_via_github_app.id"),
		document("performed_via_github_app", "GitHub App that made the issue."),
		instant("created_at", "When the issue was opened.").required(),
		instant("updated_at", "When the issue last changed.").required(),
		instant("closed_at", "When the issue was closed; null while it is open."),
		text("url", "API URL of the issue."),
		text("html_url", "Web page of the issue."),
		text("repository_url", "API URL of the repository."),
		text("labels_url", "API URL template of the labels."),
		text("comments_url", "API URL of the comments."),
		text("events_url", "API URL of the events."),
		text("timeline_url", "API URL of the timeline."),
		text("parent_issue_url", "API URL of the parent when this is a sub-issue."),
	},
	refuse: func(o object) error {
		if v, ok := o.get("pull_request"); ok && !isNull(v) {
			return ErrPullRequest
		}
		return nil
	},
	referenced: issueReferences,
})

func issueReferences(o object, s Scope) ([]Row, error) {
	rows, err := accounts(o, "user", "closed_by", "assignee", "assignees")
	if err != nil {
		return nil, err
	}
	labels, err := o.objects("labels")
	if err != nil {
		return nil, err
	}
	for _, raw := range labels {
		// Some answers name labels by strings: such a label has no row to give.
		if raw[0] != '{' {
			continue
		}
		found, err := Label.nested(raw, s)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	if raw, ok := o.get("milestone"); ok && !isNull(raw) {
		found, err := Milestone.nested(raw, s)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}

// names derives an array of names from a list of objects; plain strings stand for themselves.
func names(list, key string) func(object, Scope) (any, error) {
	return func(o object, _ Scope) (any, error) {
		items, err := o.objects(list)
		if err != nil {
			return nil, err
		}
		out := make([]string, 0, len(items))
		for _, raw := range items {
			var name any
			if raw[0] == '"' {
				name, err = stringOf(raw)
			} else {
				var item object
				if item, err = parseObject(raw); err == nil {
					name, err = item.value(key, typeText)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list, err)
			}
			if name != nil {
				out = append(out, name.(string))
			}
		}
		return out, nil
	}
}

func firstAssignee(o object, _ Scope) (any, error) {
	items, err := o.objects("assignees")
	if err != nil || len(items) == 0 {
		return nil, err
	}
	first, err := parseObject(items[0])
	if err != nil {
		return nil, err
	}
	return first.value("id", typeInt)
}

package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/pghub/pghub/schema"
)

// object is an object of GitHub's REST API under construction.
type object map[string]any

func (o object) with(changes object) object {
	out := maps.Clone(o)
	maps.Copy(out, changes)
	return out
}

func (o object) without(keys ...string) object {
	out := maps.Clone(o)
	for _, k := range keys {
		delete(out, k)
	}
	return out
}

func (o object) raw(t testing.TB) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	repositoryOne = int64(5_000_000_001) // ids beyond 32 bits
	repositoryTwo = int64(5_000_000_002)
)

var one = schema.Scope{RepositoryID: repositoryOne}

// at gives a time as GitHub writes it: n minutes into a day.
func at(n int) string {
	return time.Date(2026, 3, 10, 0, n, 0, 0, time.UTC).Format(time.RFC3339)
}

func userObject(id int64, login string) object {
	return object{
		"login": login, "id": id, "node_id": fmt.Sprintf("U_%d", id), "type": "User", "site_admin": false, "gravatar_id": "",
		"avatar_url": "https://avatars.example/u/" + login, "url": "https://api.example/users/" + login, "html_url": "https://example/" + login,
		"events_url": "https://api.example/users/" + login + "/events{/privacy}", "user_view_type": "public",
	}
}

func repositoryObject(id int64, owner object, name string) object {
	full := owner["login"].(string) + "/" + name
	return object{
		"id": id, "node_id": fmt.Sprintf("R_%d", id), "name": name, "full_name": full, "owner": owner, "private": false, "fork": false,
		"html_url": "https://example/" + full, "url": "https://api.example/repos/" + full, "description": nil, "topics": []string{"sync", "postgres"},
		"license": object{"key": "mit", "name": "MIT License"}, "permissions": object{"admin": true, "pull": true}, "default_branch": "main",
		"created_at": at(0), "updated_at": at(1), "pushed_at": at(2), "size": 108, "open_issues_count": 3, "archived": false,
	}
}

func labelObject(id int64, name string) object {
	return object{"id": id, "node_id": fmt.Sprintf("LA_%d", id), "url": "https://api.example/labels/" + name, "name": name,
		"description": "about " + name, "color": "d73a4a", "default": false}
}

func milestoneObject(id int64, creator object) object {
	return object{"id": id, "node_id": fmt.Sprintf("MI_%d", id), "number": id % 1000, "title": "v1", "description": "first", "state": "open",
		"creator": creator, "open_issues": 4, "closed_issues": 8, "created_at": at(0), "updated_at": at(5), "closed_at": nil, "due_on": at(90),
		"url": "https://api.example/milestones/1", "html_url": "https://example/milestone/1", "labels_url": "https://api.example/milestones/1/labels"}
}

func issueObject(id, number int64, user object) object {
	return object{
		"id": id, "node_id": fmt.Sprintf("I_%d", id), "number": number, "title": fmt.Sprintf("Issue %d", number), "body": "It does not work",
		"state": "open", "state_reason": nil, "user": user, "labels": []object{}, "assignees": []object{}, "assignee": nil, "milestone": nil,
		"locked": false, "active_lock_reason": nil, "comments": 0, "created_at": at(0), "updated_at": at(10), "closed_at": nil,
		"author_association": "OWNER", "reactions": object{"total_count": 2, "+1": 2}, "type": object{"id": 410, "name": "Bug", "node_id": "IT_410"},
		"sub_issues_summary": object{"total": 0, "completed": 0, "percent_completed": 0}, "closed_by": nil,
		"html_url": fmt.Sprintf("https://example/issues/%d", number), "url": fmt.Sprintf("https://api.example/issues/%d", number),
		"repository_url": "https://api.example/repos/octo/hello", "performed_via_github_app": nil,
	}
}

func commentObject(id, number int64, user object) object {
	return object{"id": id, "node_id": fmt.Sprintf("IC_%d", id), "body": "Me too", "user": user, "created_at": at(3), "updated_at": at(4),
		"issue_url":          fmt.Sprintf("https://api.example/repos/octo/hello/issues/%d", number),
		"author_association": "NONE", "url": "https://api.example/comments/1", "html_url": "https://example/comments/1",
		"reactions": object{"total_count": 0}, "performed_via_github_app": nil}
}

var octocat = userObject(6_000_000_001, "octocat")

// rowsOf decodes an object together with what it refers to.
func rowsOf(t testing.TB, table *schema.Table, o object, s schema.Scope) []schema.Row {
	t.Helper()
	rows, err := table.Rows(o.raw(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

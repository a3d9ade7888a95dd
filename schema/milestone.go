package schema

// Milestone describes the milestones of a repository.
//
// Source: https://docs.github.com/rest/issues/milestones
var Milestone = newTable(Table{
	Name:    "milestone",
	Comment: "Milestones of the repositories.",
	Version: "updated_at",
	Columns: []Column{
		integer("id", "REST id of the milestone.").required(),
		text("node_id", "GraphQL id of the milestone.").required(),
		repositoryID(),
		integer("number", "Number of the milestone within its repository.").required(),
		text("title", "Title.").required(),
		text("description", "Description."),
		text("state", "open or closed.").required(),
		integer("creator_id", "Account that made the milestone.").at("creator.id").refers("account"),
		integer("open_issues", "Number of open issues and pull requests in the milestone, as GitHub counts."),
		integer("closed_issues", "Number of closed issues and pull requests in the milestone, as GitHub counts."),
		instant("due_on", "When the milestone is due."),
		instant("created_at", "When the milestone was made."),
		instant("updated_at", "When the milestone last changed."),
		instant("closed_at", "When the milestone was closed; null while it is open."),
		text("url", "API URL of the milestone."),
		text("html_url", "Web page of the milestone."),
		text("labels_url", "API URL of the labels of the milestone's issues."),
	},
	referenced: func(o object, _ Scope) ([]Row, error) { return accounts(o, "creator") },
})

package schema

// Label describes the labels of a repository. GitHub gives labels no timestamps, and renaming one does not touch the
// issues that carry it: an upsert that sees a new name under a known id renames the entries of issue.labels itself.
//
// Source: https://docs.github.com/rest/issues/labels
var Label = newTable(Table{
	Name:    "label",
	Comment: "Labels of the repositories.",
	Columns: []Column{
		integer("id", "REST id of the label.").required(),
		text("node_id", "GraphQL id of the label.").required(),
		repositoryID(),
		text("name", "Name, unique within the repository without regard to case.").required(),
		text("description", "Short description."),
		text("color", "Colour as six hexadecimal digits without #."),
		boolean("default", "Whether GitHub made the label when the repository was made."),
		text("url", "API URL of the label; holds its name."),
	},
	rename: &rename{column: "name", array: "labels", perRepository: true},
})

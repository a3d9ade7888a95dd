// Package githubsim is a simulated GitHub that speaks real HTTP: the REST
// operations that pghub uses, the GraphQL mutation deleteIssue, webhooks, rate
// limits, and a script of faults. The demo and the tests run against it.
//
// It follows GitHub's OpenAPI description (github/rest-api-description) for
// shapes, and GitHub's documented or publicly reported behaviour for what the
// description leaves open: cursors in Link headers, the refusal of page 100,
// fields dropped in silence without push access, redirects of renamed
// repositories and transferred issues. Where the real behaviour is not known it
// takes the choice that is harder on the client.
//
// What the description leaves open, and where the behaviour is taken from:
//
//	after= and before= in Link, no rel="last" on issues   recorded answers of GitHub
//	422 for page*per_page >= 10,000 on issues             google/go-github issue 3565
//	since=1970-01-01T00:00:00Z answers []                 reported
//	/repositories/{id} in links and redirects, 307        philschatz/octokat.js issue 150; description of PATCH repos
//	422 for unknown assignees on create and update        microsoft/vscode-pull-request-github issue 1868
//	422 "missing_field" for a blank title                 benbalter/problem_child issue 10
//	422 "Invalid request.\n\nFor 'properties/...'"        sociomantic-tsunami/git-hub issue 142
//	secondary limits, with and without Retry-After        documentation, reported
//	410 for issues switched off, the list has pulls only  ansible/ansibullbot issue 845; ingydotnet/git-hub issue 72
//	label and milestone changes leave updated_at alone    reported for labels, chosen for milestones
//	editing a comment leaves its issue's updated_at alone chosen: the harder case
//	labels of an issue come by id, not as requested       chosen: the harder case
//	a transferred issue's comments get new ids            chosen
//	unknown values of state, sort, direction: 422         chosen
//
// State lives in memory and is a function of [Config.Seed] until somebody
// writes. One lock guards all of it: readers share it, writers hold it alone.
package githubsim

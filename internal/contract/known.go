package contract

// Exception is something that GitHub does and its description leaves out. This
// table is the one place for them; docs/github-contract.md is checked against
// it, and a test fails when an entry is no longer needed.
type Exception struct {
	Name string // short, unique
	What string // what GitHub does
	// Source is where GitHub says so, or who reported it.
	Source string
	// Kind, Operation and Subject choose the faults that this excuses; *
	// stands for any text. An empty Kind excuses nothing: the entry tells of
	// behaviour that no description could hold and that the simulated GitHub
	// has because of Source.
	Kind      Kind
	Operation string
	Subject   string
}

// Pages of GitHub's documentation, and reports by others where it has none.
const (
	docsRedirects       = "https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects"
	docsConditional     = "https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate"
	docsLimits          = "https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit"
	docsTroubleshooting = "https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api"
	docsAuthentication  = "https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api"
	docsGraphQLLimits   = "https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api"
	reportPage100       = "https://github.com/google/go-github/issues/3976"
	reportLinks         = "https://github.com/google/go-github/issues/3565"
	reportBareLimit     = "https://github.com/hub4j/github-api/issues/1805"
)

// Exceptions is the table.
var Exceptions = []Exception{
	{
		Name: "cursor in links", What: "Link headers of a repository's issues carry `after`, an opaque cursor; the operation lists only `page`.",
		Source: reportLinks, Kind: UnknownQuery, Operation: "GET /repos/{owner}/{repo}/issues", Subject: "after",
	},
	{
		Name: "page 100", What: "Page 100 of 100 issues answers 422 and asks for cursors, which the operation's 422 does not say.",
		Source: reportPage100,
	},
	{
		Name: "status in validation errors", What: "A 422 has a `status` member as other errors have; the schema `validation-error` does not name it.",
		Source: reportPage100, Kind: UnknownField, Operation: "*", Subject: "422 .status",
	},
	{
		Name: "view of users in webhooks", What: "Users in webhook payloads carry `user_view_type`; half of the schemas for them do not name it.",
		Source: "the description itself, whose other schemas for users name it", Kind: UnknownField, Operation: "*", Subject: "*.user_view_type",
	},
	{
		Name: "repositories by id", What: "Links and redirects name a repository `/repositories/{id}`, and everything below `/repos/{owner}/{repo}` is there too.",
		Source: docsRedirects, Kind: UnknownOperation, Operation: "*", Subject: "/repositories/{id}",
	},
	{
		Name: "moved for good", What: "Any read of a repository's old name, or of a transferred issue, answers 301.",
		Source: docsRedirects, Kind: UnknownStatus, Operation: "*", Subject: "301",
	},
	{
		Name: "moved, repeat verbatim", What: "A write to a repository's old name answers 307 and is to be sent again with its method and body.",
		Source: docsRedirects, Kind: UnknownStatus, Operation: "*", Subject: "307",
	},
	{
		Name: "not modified", What: "Every read that is asked with `If-None-Match` may answer 304.",
		Source: docsConditional, Kind: UnknownStatus, Operation: "GET *", Subject: "304",
	},
	{
		Name: "malformed body", What: "A body that is no JSON object answers 400.",
		Source: docsTroubleshooting, Kind: UnknownStatus, Operation: "*", Subject: "400",
	},
	{
		Name: "unknown token", What: "Every operation answers 401 to a token that GitHub does not know.",
		Source: docsAuthentication, Kind: UnknownStatus, Operation: "*", Subject: "401",
	},
	{
		Name: "forbidden or limited", What: "Every operation answers 403 when a right is missing, and for either rate limit.",
		Source: docsLimits, Kind: UnknownStatus, Operation: "*", Subject: "403",
	},
	{
		Name: "not there or hidden", What: "Every operation below a repository answers 404 for what is not there and for what the credential may not see.",
		Source: docsTroubleshooting, Kind: UnknownStatus, Operation: "*", Subject: "404",
	},
	{
		Name: "refused content", What: "Operations that take a body answer 422 to content that GitHub will not have.",
		Source: docsTroubleshooting, Kind: UnknownStatus, Operation: "*", Subject: "422",
	},
	{
		Name: "limited", What: "Every operation may answer 429 for either rate limit instead of 403.",
		Source: docsLimits, Kind: UnknownStatus, Operation: "*", Subject: "429",
	},
	{
		Name: "secondary limit without headers", What: "A secondary limit may come without `retry-after` and with requests remaining: only the message tells.",
		Source: reportBareLimit,
	},
	{
		Name: "limit inside 200", What: "GraphQL answers a limit with status 200 and an error of type RATE_LIMITED.",
		Source: docsGraphQLLimits,
	},
	{
		Name: "GitHub in trouble", What: "Every operation may answer 500, 502, 503 or 504, with any body.",
		Source: docsTroubleshooting, Kind: UnknownStatus, Operation: "*", Subject: "50*",
	},
}

// Excused returns the exception that covers a fault, or nil.
func Excused(f Fault) *Exception {
	for k := range Exceptions {
		e := &Exceptions[k]
		if e.Kind == f.Kind && glob(e.Operation, f.Operation) && glob(e.Subject, f.Subject) {
			met.mu.Lock()
			met.exceptions[e.Name]++
			met.mu.Unlock()
			return e
		}
	}
	return nil
}

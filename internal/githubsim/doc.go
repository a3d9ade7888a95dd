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
// State lives in memory and is a function of [Config.Seed] until somebody
// writes. One lock guards all of it: readers share it, writers hold it alone.
package githubsim

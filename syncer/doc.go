// Package syncer keeps the tables of schema github current.
//
// Each repository goes through two phases. The first backfill reads every
// collection from its oldest object to its newest; a page's rows and the link
// to the next page are committed together, so a process that dies resumes
// where it stopped. After that the repository is polled: issues and comments
// by what changed since the newest known change, labels and milestones as
// whole lists, all of them conditionally, so that a repository where nothing
// happens costs nothing of GitHub's limit.
//
// All work runs as River jobs in schema pghub (kinds discover, backfill, poll
// and refetch); several processes on one database share it. What a user needs
// to see of it stands in pghub.sync_state and pghub.followed; see Status.
//
// GitHub's id is what identifies a repository: requests go to
// /repositories/{id}, so a rename neither loses the repository nor mixes it
// up with another one that takes the name over.
package syncer

package githubsim

import (
	"fmt"
	"strings"
	"sync"
)

// Permission is what a user may do in one repository.
type Permission string

// The permissions, each including the ones before it. A user without any can
// still read a public repository and write issues and comments in it.
const (
	None  Permission = "none"
	Read  Permission = "read"
	Push  Permission = "push"
	Admin Permission = "admin"
)

func (p Permission) rank() int {
	switch p {
	case Admin:
		return 3
	case Push:
		return 2
	case Read:
		return 1
	}
	return 0
}

// store is everything the simulated GitHub remembers. Its lock is taken by the
// request pipeline and by the Go-side methods of Server; nothing below takes it.
type store struct {
	mu sync.RWMutex

	lag       int64            // Config.ReadLag in seconds
	users     map[string]*user // by lower-case login
	usersByID map[int64]*user
	tokens    map[string]*token

	repos      map[string]*repository // by lower-case owner/name
	reposByID  map[int64]*repository
	redirects  map[string]*repository // former owner/name
	repoOrder  []*repository          // in order of creation
	issuesByID map[int64]*issue
	comments   map[int64]*comment

	userIDs, repoIDs, issueIDs, commentIDs, labelIDs, milestoneIDs, typeIDs idSource
}

func newStore() *store {
	return &store{
		users:        map[string]*user{},
		usersByID:    map[int64]*user{},
		tokens:       map[string]*token{},
		repos:        map[string]*repository{},
		reposByID:    map[int64]*repository{},
		redirects:    map[string]*repository{},
		issuesByID:   map[int64]*issue{},
		comments:     map[int64]*comment{},
		userIDs:      idSource{last: firstUserID, salt: 1},
		repoIDs:      idSource{last: firstRepositoryID, salt: 2},
		issueIDs:     idSource{last: firstIssueID, salt: 3},
		commentIDs:   idSource{last: firstCommentID, salt: 4},
		labelIDs:     idSource{last: firstLabelID, salt: 5},
		milestoneIDs: idSource{last: firstMilestoneID, salt: 6},
		typeIDs:      idSource{last: firstTypeID, salt: 7},
	}
}

// user is an account: a person, a bot or an organisation.
type user struct {
	id          int64
	login, name string
	kind        string // User, Bot, Organization
	company     string
	location    string
	bio         string
	created     int64
	members     map[*user]bool // of an organisation
	types       []*issueType   // of an organisation
}

// token is a credential. grants is nil for a classic token, which may do what
// its user may; a fine-grained one is limited to what it names, for example
// {"issues": "read"}.
type token struct {
	value  string
	user   *user
	grants map[string]string
}

type issueType struct {
	id                       int64
	name, description, color string
	created                  int64
}

// repository holds its issues in three orders, so that a page costs a binary
// search whatever it is sorted by.
type repository struct {
	id          int64
	owner       *user
	name        string
	description string
	language    string
	homepage    string
	topics      []string
	private     bool
	hasIssues   bool
	archived    bool
	created     int64
	updated     int64
	pushed      int64
	stars       int64
	forks       int64
	size        int64

	lag          int64 // of the store
	perms        map[*user]Permission
	contributors map[*user]bool

	slots      []slot // index = number - 1
	byCreated  sortedList[*issue]
	byUpdated  sortedList[*issue]
	byComments sortedList[*issue]
	open       int64 // open issues and pull requests

	labels     map[string]*label // by lower-case name
	labelOrder sortedLabels
	milestones []*milestone // index = number - 1; nil = deleted

	commentsByCreated sortedList[*comment]
	commentsByUpdated sortedList[*comment]
}

// slot is what a number of a repository stands for: an issue, or the trace of one.
type slot struct {
	issue   *issue
	deleted bool
	movedTo *issue
}

func newRepository(id int64, owner *user, name string) *repository {
	return &repository{
		id: id, owner: owner, name: name, hasIssues: true,
		perms:             map[*user]Permission{},
		contributors:      map[*user]bool{},
		labels:            map[string]*label{},
		byCreated:         sortedList[*issue]{rank: func(i *issue) rank { return rank{i.created, i.id} }},
		byUpdated:         sortedList[*issue]{rank: func(i *issue) rank { return rank{i.updated, i.id} }},
		byComments:        sortedList[*issue]{rank: func(i *issue) rank { return rank{int64(len(i.comments)), i.id} }},
		commentsByCreated: sortedList[*comment]{rank: func(c *comment) rank { return rank{c.created, c.id} }},
		commentsByUpdated: sortedList[*comment]{rank: func(c *comment) rank { return rank{c.updated, c.id} }},
	}
}

func (r *repository) fullName() string { return r.owner.login + "/" + r.name }

// permission is what u may do in r; a nil user is somebody without a token.
func (r *repository) permission(u *user) Permission {
	if u == nil {
		if r.private {
			return None
		}
		return Read
	}
	if u == r.owner {
		return Admin
	}
	p := r.perms[u]
	if p.rank() < Read.rank() && !r.private {
		return Read
	}
	if p == "" {
		return None
	}
	return p
}

// addRepository puts r under its name; the store must not have that name yet.
func (st *store) addRepository(r *repository) {
	r.lag = st.lag
	st.repos[strings.ToLower(r.fullName())] = r
	st.reposByID[r.id] = r
	st.repoOrder = append(st.repoOrder, r)
}

func (st *store) addUser(u *user) {
	st.users[strings.ToLower(u.login)] = u
	st.usersByID[u.id] = u
}

func (st *store) user(login string) *user { return st.users[strings.ToLower(login)] }

// repository finds a repository by its present name.
func (st *store) repository(fullName string) (*repository, error) {
	if r := st.repos[strings.ToLower(fullName)]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("githubsim has no repository %s", fullName)
}

// issue finds a live issue by its present repository name and number.
func (st *store) issue(fullName string, number int64) (*issue, error) {
	r, err := st.repository(fullName)
	if err != nil {
		return nil, err
	}
	if number < 1 || number > int64(len(r.slots)) || r.slots[number-1].issue == nil {
		return nil, fmt.Errorf("githubsim has no issue %s#%d", fullName, number)
	}
	return r.slots[number-1].issue, nil
}

package githubsim

import (
	"fmt"
	"strings"
)

// AddUser makes a user with a classic token and permissions by owner/name, and
// returns the token. A login that exists already gets one more token and the
// permissions added. Repositories not named give what is public.
func (s *Server) AddUser(login string, permissions map[string]Permission) (token string, err error) {
	return s.addToken(login, permissions, nil)
}

// AddFineGrainedToken makes a token that is limited to the given permissions,
// for example {"issues": "read"}, beside what its user may do; metadata can
// always be read. The user is made if need be.
func (s *Server) AddFineGrainedToken(login string, permissions map[string]Permission, grants map[string]string) (token string, err error) {
	if grants == nil {
		grants = map[string]string{}
	}
	return s.addToken(login, permissions, grants)
}

func (s *Server) addToken(login string, permissions map[string]Permission, grants map[string]string) (string, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	repos := map[*repository]Permission{}
	for name, p := range permissions {
		r, err := s.store.repository(name)
		if err != nil {
			return "", err
		}
		repos[r] = p
	}
	u := s.store.user(login)
	if u == nil {
		u = &user{id: s.store.userIDs.next(), login: login, name: login, kind: "User", created: s.now()}
		s.store.addUser(u)
	}
	for r, p := range repos {
		if r.owner == u && p != Admin {
			return "", fmt.Errorf("githubsim: %s owns %s", login, r.fullName())
		}
		r.perms[u] = p
	}
	value := tokenFromSeed(s.cfg.Seed, fmt.Sprintf("%s/%d", login, len(s.store.tokens)))
	s.store.tokens[value] = &token{value: value, user: u, grants: grants}
	return value, nil
}

// RevokeToken makes a token unknown; its next use answers 401.
func (s *Server) RevokeToken(value string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	delete(s.store.tokens, value)
}

// CreateRepository makes an empty repository with the standard labels. The owner
// is made (as a person) if need be; the first user administers it.
func (s *Server) CreateRepository(fullName string, private bool) (Repository, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok || owner == "" || name == "" || s.store.repos[strings.ToLower(fullName)] != nil {
		return Repository{}, fmt.Errorf("githubsim cannot create the repository %q", fullName)
	}
	c := s.webCall(s.admin)
	u := s.store.user(owner)
	if u == nil {
		u = &user{id: s.store.userIDs.next(), login: owner, name: owner, kind: "User", created: c.now}
		s.store.addUser(u)
	}
	r := newRepository(s.store.repoIDs.next(), u, name)
	r.private, r.created, r.updated, r.pushed = private, c.now, c.now, c.now
	r.perms[s.admin] = Admin
	delete(s.store.redirects, strings.ToLower(fullName)) // a new owner of an old name ends its redirect
	s.store.addRepository(r)
	s.standardLabels(r)
	c.emit("repository", "created", r, func(*enc) {})
	return r.snapshot(), nil
}

// RenameRepository gives a repository a new owner/name. The former name
// redirects. Naming another owner transfers it; the owner must exist.
func (s *Server) RenameRepository(fullName, to string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return err
	}
	login, name, _ := strings.Cut(to, "/")
	owner := s.store.user(login)
	if owner == nil || name == "" || s.store.repos[strings.ToLower(to)] != nil {
		return fmt.Errorf("githubsim cannot rename %s to %q", fullName, to)
	}
	c := s.webCall(s.admin)
	formerOwner, formerName := r.owner, r.name
	delete(s.store.repos, strings.ToLower(r.fullName()))
	s.store.redirects[strings.ToLower(r.fullName())] = r
	r.owner, r.name, r.updated = owner, name, max(r.updated, c.now)
	delete(s.store.redirects, strings.ToLower(to))
	s.store.repos[strings.ToLower(to)] = r
	if formerName != name {
		c.emit("repository", "renamed", r, func(e *enc) {
			e.object("changes")
			e.object("repository")
			e.from("name", formerName)
			e.close('}')
			e.close('}')
		})
	}
	if formerOwner != owner {
		kind := "user"
		if formerOwner.kind == "Organization" {
			kind = "organization"
		}
		c.emit("repository", "transferred", r, func(e *enc) {
			e.object("changes")
			e.object("owner")
			e.object("from")
			if kind == "user" {
				e.user(kind, formerOwner)
			} else {
				e.organization(kind, formerOwner)
			}
			e.close('}')
			e.close('}')
			e.close('}')
		})
	}
	return nil
}

// RepositorySettings is what SetRepository changes; nil fields stay.
type RepositorySettings struct {
	Private, HasIssues, Archived *bool
}

// SetRepository changes a repository's settings.
func (s *Server) SetRepository(fullName string, settings RepositorySettings) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return err
	}
	c := s.webCall(s.admin)
	flag := func(p *bool, field *bool, on, off string) {
		if p == nil || *p == *field {
			return
		}
		*field = *p
		action := off
		if *p {
			action = on
		}
		if action != "" {
			c.emit("repository", action, r, func(*enc) {})
		}
	}
	flag(settings.Private, &r.private, "privatized", "publicized")
	flag(settings.HasIssues, &r.hasIssues, "", "")
	flag(settings.Archived, &r.archived, "archived", "unarchived")
	r.updated = max(r.updated, c.now)
	return nil
}

// DeleteRepository deletes a repository with everything in it.
func (s *Server) DeleteRepository(fullName string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r, err := s.store.repository(fullName)
	if err != nil {
		return err
	}
	for _, i := range r.byCreated.rows {
		delete(s.store.issuesByID, i.id)
		for _, k := range i.comments {
			delete(s.store.comments, k.id)
		}
	}
	delete(s.store.repos, strings.ToLower(fullName))
	delete(s.store.reposByID, r.id)
	kept := s.store.repoOrder[:0:0]
	for _, other := range s.store.repoOrder {
		if other != r {
			kept = append(kept, other)
		}
	}
	s.store.repoOrder = kept
	for name, other := range s.store.redirects {
		if other == r {
			delete(s.store.redirects, name)
		}
	}
	s.webCall(s.admin).emit("repository", "deleted", r, func(*enc) {})
	return nil
}

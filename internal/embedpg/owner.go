package embedpg

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the unprivileged user that the server runs as when pghub itself runs as root, which PostgreSQL refuses.
// A nil owner means: the user we are.
type owner struct {
	name     string
	uid, gid int
}

func serverOwner() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 != nil || err2 != nil || uid == 0 {
			continue
		}
		return &owner{name: name, uid: uid, gid: gid}, nil
	}
	return nil, errors.New(`PostgreSQL does not run as root and there is no user "postgres" or "nobody" to run it as: run pghub as another user, or use a server of your own with --database-url`)
}

// own gives path to the owner.
func (o *owner) own(path string) error {
	if o == nil {
		return nil
	}
	if err := os.Lchown(path, o.uid, o.gid); err != nil {
		return fmt.Errorf("giving %s to user %s: %w", path, o.name, err)
	}
	return nil
}

func (o *owner) credential() *syscall.Credential {
	if o == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
}

// prepareDataDir creates the directory, private to the user that runs the server, and sees that this user can get there.
func prepareDataDir(dir string, o *owner) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("creating data directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("creating data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at data directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("data directory %s is not a directory", dir)
	}
	if err := o.own(dir); err != nil {
		return err
	}
	if o == nil {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", parent, err)
		}
		if !o.mayEnter(info) {
			return fmt.Errorf("as root, pghub runs PostgreSQL as user %s, who cannot enter %s: choose another data directory than %s, or run pghub as another user", o.name, parent, dir)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// mayEnter reports whether the owner has the search permission of a directory. Access lists are not looked at.
func (o *owner) mayEnter(dir os.FileInfo) bool {
	st, ok := dir.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch perm := dir.Mode().Perm(); {
	case int(st.Uid) == o.uid:
		return perm&0o100 != 0
	case int(st.Gid) == o.gid:
		return perm&0o010 != 0
	default:
		return perm&0o001 != 0
	}
}

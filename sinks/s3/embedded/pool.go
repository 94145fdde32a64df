package embedded

import "sync"

// Pool shares one server among all who use the same directory. The zero Pool is ready.
type Pool struct {
	mu      sync.Mutex // guards what follows
	servers map[string]*shared
}

type shared struct {
	server *Server
	users  int
}

// Acquire returns the server of a directory and starts it for the first user. Each user calls
// release once; the last one ends the server.
func (p *Pool) Acquire(dir string) (s *Server, release func() error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.servers == nil {
		p.servers = make(map[string]*shared)
	}
	e := p.servers[dir]
	if e == nil {
		s, err := Start(dir)
		if err != nil {
			return nil, nil, err
		}
		e = &shared{server: s}
		p.servers[dir] = e
	}
	e.users++
	return e.server, func() error { return p.release(dir, e) }, nil
}

func (p *Pool) release(dir string, e *shared) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.users--; e.users > 0 {
		return nil
	}
	delete(p.servers, dir)
	return e.server.Close()
}

package door

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// crowd bounds how many connections are open: when there are too many, the one that has been quiet longest is closed,
// and when none is quiet the newest. A client whose idle connection was closed opens another one.
type crowd struct {
	most int

	mu    sync.Mutex // guards what follows
	open  int
	quiet map[net.Conn]*list.Element
	// waiting are the quiet connections, the longest quiet one first.
	waiting list.List
}

// changed implements the hook of http.Server. A connection that was opened and has not asked for anything is as quiet
// as one between two requests.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	if victim := c.note(conn, state); victim != nil {
		// The server notices, and calls again.
		_ = victim.Close()
	}
}

// note returns the connection that has to go, if any.
func (c *crowd) note(conn net.Conn, state http.ConnState) (victim net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake(conn)
	switch state {
	case http.StateNew:
		if c.open++; c.open > c.most {
			victim = conn
			if first := c.waiting.Front(); first != nil {
				victim = first.Value.(net.Conn)
				c.wake(victim)
			}
		}
	case http.StateClosed, http.StateHijacked:
		c.open--
		return nil
	case http.StateActive:
		return nil
	}
	if victim != conn {
		c.quiet[conn] = c.waiting.PushBack(conn)
	}
	return victim
}

// wake takes a connection from those that are quiet.
func (c *crowd) wake(conn net.Conn) {
	if at := c.quiet[conn]; at != nil {
		c.waiting.Remove(at)
		delete(c.quiet, conn)
	}
}

// dismiss closes the quiet connections.
func (c *crowd) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.quiet {
		_ = conn.Close()
	}
}

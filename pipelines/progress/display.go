package progress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	drawEvery = 200 * time.Millisecond
	sayEvery  = 10 * time.Second
)

// Display shows a board while it lives: the table on a terminal, redrawn in place, and a line about the running step
// every ten seconds elsewhere. Lines for good go through Say, which puts them above the table.
type Display struct {
	board *Board
	out   io.Writer
	// size gives a terminal's columns and lines; nil is no terminal.
	size   func() (width, height int)
	colour bool

	mu     sync.Mutex
	drawn  []int // characters in each line of the table on the screen
	closed bool
	said   time.Time

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// Show starts to show a board on out, until Close or the end of ctx.
func Show(ctx context.Context, b *Board, out io.Writer) *Display {
	d := &Display{board: b, out: out, said: time.Now()}
	every := sayEvery
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		every = drawEvery
		d.colour = os.Getenv("NO_COLOR") == ""
		d.size = func() (int, int) {
			width, height, err := term.GetSize(int(f.Fd()))
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		}
	}
	ctx, d.stop = context.WithCancel(ctx)
	d.stopped.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				d.erase()
				return
			case <-ticker.C:
				d.tick()
			}
		}
	})
	return d
}

// Say writes a line for good.
func (d *Display) Say(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var frame bytes.Buffer
	d.rewind(&frame)
	frame.WriteString(line)
	if d.size != nil {
		frame.WriteString("\x1b[K\r")
	}
	frame.WriteString("\n")
	d.draw(&frame)
	d.flush(&frame)
}

// Close removes the table and gives the terminal back as it was.
func (d *Display) Close() {
	d.stop()
	d.stopped.Wait()
}

func (d *Display) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var frame bytes.Buffer
	if d.size != nil {
		d.rewind(&frame)
		d.draw(&frame)
	} else {
		steps, _ := d.board.Snapshot()
		for _, s := range steps {
			if s.State == Running && s.Rows > 0 {
				fmt.Fprintln(&frame, s.Line())
			}
		}
	}
	d.flush(&frame)
}

func (d *Display) erase() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var frame bytes.Buffer
	d.rewind(&frame)
	d.closed = true
	if d.size != nil {
		frame.WriteString("\x1b[J\x1b[?25h") // nothing below, and the cursor back
	}
	d.flush(&frame)
}

// rewind goes to the table's first line. Nothing is erased before it is written over, so that nothing flickers.
func (d *Display) rewind(frame *bytes.Buffer) {
	if d.size == nil || d.closed {
		return
	}
	frame.WriteString("\x1b[?25l") // no cursor in the table
	width, _ := d.size()
	up := 0
	for _, n := range d.drawn { // a terminal that became narrower has broken the lines
		up += max(1, (n+width-1)/width)
	}
	if up > 0 {
		fmt.Fprintf(frame, "\r\x1b[%dA", up)
	}
	d.drawn = nil
}

// draw writes the table; the cursor ends below it.
func (d *Display) draw(frame *bytes.Buffer) {
	if d.size == nil || d.closed {
		return
	}
	width, height := d.size()
	steps, elapsed := d.board.Snapshot()
	for _, line := range Table(steps, elapsed, width, height-1) {
		d.drawn = append(d.drawn, len([]rune(line.Text)))
		fmt.Fprintf(frame, "%s\x1b[K\r\n", line.styled(d.colour))
	}
	frame.WriteString("\x1b[J") // what an older, longer table left
}

// flush writes a frame in one piece. A terminal that is gone is no reason to stop.
func (d *Display) flush(frame *bytes.Buffer) {
	if frame.Len() > 0 {
		_, _ = d.out.Write(frame.Bytes())
	}
}

// Package tokens owns rulers: the tokens of two models over the bytes of one text, the source's above, the target's below,
// so that a person sees how distributions came from one to the other.
//
// Flow in: a fusion example, the winner's distributions and both chat formats; flow out: two rulers whose ticks have a
// text, a width in bytes, the class of the position's status and the most probable entries.
// It draws nothing itself: pages and life-of-a-prompt.md do.
package tokens

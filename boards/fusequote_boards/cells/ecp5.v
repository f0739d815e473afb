// Cells of an ECP5 as nextpnr packs them, for Verilator. Behaviour: Lattice FPGA-TN-02204 (block RAM), TN-02205 (DSP), the
// ECP5 family data sheet, and Project Trellis. Inputs come with the inverters and constants of their multiplexers
// resolved; an input without a wire is 1.

// Half of a slice's logic: a look-up table and, by its place, half of a carry chain or a multiplexer. What the table gives
// for its inputs (lut), and for the lower two of them (pair), is worked out where the cell is used.
module TRELLIS_COMB #(parameter CARRY = 0, INJECT = 0) (
    input lut, pair, M, F1, FXA, FXB, FCI, is_upper,
    output F, OFX, FCO
);
    assign F = CARRY != 0 ? lut ^ (FCI & (INJECT == 0)) : lut;
    assign FCO = CARRY != 0 && (lut ? FCI : pair & (INJECT == 0));
    assign OFX = is_upper ? (M ? FXB : FXA) : (M ? F1 : F);
endmodule

module TRELLIS_FF #(parameter FROM_M = 0, SET = 0, ASYNC = 0, LSR_OVER_CE = 0) (
    input DI, M, CE, LSR, CLK,
    output reg Q
);
    wire d = FROM_M != 0 ? M : DI;
    initial Q = SET != 0;  // the set or reset at power-on
    generate
        if (ASYNC != 0) begin : asynchronous
            always @(posedge CLK, posedge LSR) if (LSR) Q <= SET != 0; else if (CE) Q <= d;
        end else if (LSR_OVER_CE != 0) begin : over_enable
            always @(posedge CLK) if (LSR) Q <= SET != 0; else if (CE) Q <= d;
        end else begin : under_enable
            always @(posedge CLK) if (CE) Q <= LSR ? SET != 0 : d;
        end
    endgenerate
endmodule

// One port of a block RAM, without its output register: reads before it writes, or (KEEP) does not read while it writes.
// WIDTH 36 takes the other port's data, too. Memory: 2048 words of 9 bits; ports of 1, 2, 4 bits use 8 of the 9.
module DP16KD #(
    parameter WIDTH_A = 18, WIDTH_B = 18, KEEP_A = 0, KEEP_B = 0, LOADED = 0, parameter [18431:0] INIT = 0
) (
    input configure,
    input [18431:0] contents,
    input [13:0] ADA, ADB,
    input [17:0] DIA, DIB,
    input [2:0] CSA, CSB,
    input CLKA, CLKB, CEA, CEB, WEA, WEB, RSTA, RSTB,
    output [17:0] DOA, DOB
);
    reg [8:0] memory [0:2047];
    integer i;
    initial for (i = 0; i < 2048; i = i + 1) memory[i] = INIT[9 * i +: 9];

    // What a port of a width sees at an address, of four words of 9 bits from there on.
    function [35:0] narrow(input integer width, input [13:0] address, input [35:0] words);
        case (width)
            1: narrow = {35'b0, words[{2'b0, address[2:0]} +: 1]};
            2: narrow = {34'b0, words[{2'b0, address[2:1], 1'b0} +: 2]};
            4: narrow = {32'b0, words[{3'b0, address[2], 2'b0} +: 4]};
            9: narrow = {27'b0, words[8:0]};
            18: narrow = {18'b0, words[17:0]};
            default: narrow = words;
        endcase
    endfunction
    // The words after writing, by the port's width.
    function [35:0] written(input integer width, input [13:0] address, input [35:0] words, input [35:0] data);
        written = words;
        case (width)
            1: written[{2'b0, address[2:0]} +: 1] = data[0];
            2: written[{2'b0, address[2:1], 1'b0} +: 2] = data[1:0];
            4: written[{3'b0, address[2], 2'b0} +: 4] = data[3:0];
            9: written[8:0] = data[8:0];
            default: begin  // the lowest bits of the address enable words
                if (address[0]) written[8:0] = data[8:0];
                if (address[1]) written[17:9] = data[17:9];
                if (address[2] && width == 36) written[26:18] = data[26:18];
                if (address[3] && width == 36) written[35:27] = data[35:27];
            end
        endcase
    endfunction

    localparam [10:0] ALIGN_A = WIDTH_A == 36 ? 11'h7fc : WIDTH_A == 18 ? 11'h7fe : 11'h7ff;
    localparam [10:0] ALIGN_B = WIDTH_B == 36 ? 11'h7fc : WIDTH_B == 18 ? 11'h7fe : 11'h7ff;
    wire [10:0] at_a = ADA[13:3] & ALIGN_A, at_b = ADB[13:3] & ALIGN_B;
    wire [35:0] words_a = {memory[at_a | 11'd3], memory[at_a | 11'd2], memory[at_a | 11'd1], memory[at_a]};
    wire [35:0] words_b = {memory[at_b | 11'd3], memory[at_b | 11'd2], memory[at_b | 11'd1], memory[at_b]};
    wire selected_a = CEA & CSA == 0, selected_b = CEB & CSB == 0;
    wire [35:0] in_a = WIDTH_A == 36 ? {DIB, DIA} : {18'b0, DIA}, in_b = {18'b0, DIB};
    wire [35:0] next_a = written(WIDTH_A, ADA, words_a, in_a), next_b = written(WIDTH_B, ADB, words_b, in_b);

    reg [35:0] out_a = 0, out_b = 0;
    always @(posedge CLKA)
        if (RSTA) out_a <= 0;
        else if (selected_a && !(WEA && KEEP_A != 0)) out_a <= narrow(WIDTH_A, ADA, words_a);
    always @(posedge CLKB)
        if (RSTB) out_b <= 0;
        else if (selected_b && !(WEB && KEEP_B != 0)) out_b <= narrow(WIDTH_B, ADB, words_b);
    // A read of 36 bits takes both outputs, the lower half at port A's.
    assign DOB = WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
    assign DOA = WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];

    integer j;
    always @(posedge CLKA) begin
        if (LOADED != 0 && configure) for (j = 0; j < 2048; j = j + 1) memory[j] <= contents[9 * j +: 9];
        else if (selected_a && WEA) begin
            memory[at_a] <= next_a[8:0];
            if (WIDTH_A >= 18) memory[at_a | 11'd1] <= next_a[17:9];
            if (WIDTH_A == 36) memory[at_a | 11'd2] <= next_a[26:18];
            if (WIDTH_A == 36) memory[at_a | 11'd3] <= next_a[35:27];
        end
    end
endmodule

// 18x18 bits without registers.
module MULT18X18D (input [17:0] A, B, input SIGNEDA, SIGNEDB, output [35:0] P);
    assign P = {{18{SIGNEDA & A[17]}}, A} * {{18{SIGNEDB & B[17]}}, B};
endmodule

// A pin and the output flip-flop beside it.
module TRELLIS_IO #(parameter REGISTERED = 0) (
    input PAD_IN, I, T, IOLDO, IOLTO,
    output PAD_OUT, O
);
    assign O = PAD_IN;
    // A pin that is not driven is pulled up.
    assign PAD_OUT = (REGISTERED != 0 ? IOLTO : T) ? 1'b1 : REGISTERED != 0 ? IOLDO : I;
endmodule

module IOLOGIC #(parameter SET = 0) (input TXDATA0, TSDATA0, CE, LSR, CLK, output IOLDO, IOLTO);
    reg held = SET != 0, off = 0;
    always @(posedge CLK, posedge LSR)
        if (LSR) held <= SET != 0;
        else if (CE) held <= TXDATA0;
    always @(posedge CLK) off <= TSDATA0;
    assign IOLDO = held;
    assign IOLTO = off;
endmodule

module DCCA (input CLKI, CE, output CLKO);
    assign CLKO = CLKI & CE;
endmodule

// The clock that the PLL makes comes from outside (pll_clock), at the rate that its parameters say. It locks a while later.
module EHXPLLL (input pll_clock, RST, STDBY, output CLKOP, LOCK);
    reg [9:0] count = 0;
    always @(posedge pll_clock) if (RST | STDBY) count <= 0; else if (!LOCK) count <= count + 1;
    assign LOCK = count[9];
    assign CLKOP = pll_clock;
endmodule

<%@ page contentType="text/plain;charset=UTF-8" session="false" trimDirectiveWhitespaces="true" %>
<%-- Counts who asks: state that is in the memory of the server only. --%>
<%!
    private final java.util.concurrent.atomic.AtomicInteger asked = new java.util.concurrent.atomic.AtomicInteger();
%>
answer <%= asked.incrementAndGet() %>

<%@ page contentType="text/plain;charset=UTF-8" trimDirectiveWhitespaces="true" %>
<%! private final java.util.concurrent.atomic.AtomicInteger asked = new java.util.concurrent.atomic.AtomicInteger(); %>
<%-- How often it was asked, which is in the memory of the server only, and in which session. --%>
answer <%= asked.incrementAndGet() %> in session <%= session.getId() %>
